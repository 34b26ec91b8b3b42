"""No test reads the prices that the developer renewed."""

import os
import tempfile

os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="costspan-tests-")
