"""Processes that a program starts: each is an instance of its own, and the calls of all arrive, once, when they end."""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from sdk.programs import ASK, CALLS, ONE_LINE, Ran, Received, script

FORK = f"""
child = os.fork()
if not child:
    {ASK})
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


OPENED = {
    "openai": f"""
import openai
client = openai.OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="sk-demo-0001")
chunks = iter({ASK}, stream=True))
""",
    "requests": """
import requests
asked = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}], "stream": True}
chunks = requests.post(os.environ["PROVIDER_URL"] + "/chat/completions", json=asked, stream=True).iter_lines()
""",
}
FORK_IN_MID_STREAM = """
import gc
next(chunks)
child = os.fork()
if not child:
    del chunks
    gc.collect()
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(list(chunks)) > 5)
"""
WORKERS = f"""
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor

AT_THE_TOP, *METHODS = sys.argv[1:]
if AT_THE_TOP == "True":
    import costspan; costspan.instrument()

def work(way):
    import costspan, openai
    costspan.instrument()
    client = openai.OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="sk-demo-0001")
    with costspan.label(way=way):
        {ASK})

if __name__ == "__main__":
    context = [multiprocessing.get_context(method) for method in METHODS]
    started = [one.Process(target=work, args=(f"Process by {{method}}",)) for one, method in zip(context, METHODS)]
    for one in started:
        one.start()
    pool = context[-1].Pool(1)
    pool.map(work, ["Pool"])
    pool.close()
    with ProcessPoolExecutor(1, mp_context=context[0]) as executor:
        list(executor.map(work, ["Executor"]))
    for one in [*started, pool]:
        one.join()
    print([one.exitcode for one in started])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("given", ["", "service.instance.id=namespace.pod.container"])
def test_a_forked_process_is_an_instance_of_its_own(
    received: Received, environ: dict[str, str], tmp_path: Path, given: str
) -> None:
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + FORK)], {**environ, "OTEL_RESOURCE_ATTRIBUTES": given})
    assert (ran.code, ran.errors) == (0, "")
    assert ran.out.split()[-1] == "0"
    instances = [resource["service.instance.id"] for resource, _ in received.spans()]
    assert sorted(instances.count(one) for one in set(instances)) == [1, 2]
    counted = {instance: sum(point.as_int for point in points) for instance, points in received.points("costspan.calls").items()}
    assert counted == {instance: instances.count(instance) for instance in instances}
    durations = received.points("gen_ai.client.inference.duration")
    assert {instance: sum(point.count for point in points) for instance, points in durations.items()} == counted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_process_forked_while_the_exporter_is_imported_does_not_hang(
    received: Received, environ: dict[str, str], tmp_path: Path
) -> None:
    exporter = "opentelemetry.exporter.otlp.proto.http"
    wait = f"import time\nwhile {exporter!r} not in sys.modules:\n    time.sleep(0.001)"
    use = f"\nif not child:\n    import {exporter}.trace_exporter"  # as a program may, and anything that it imports too
    fork = FORK.replace("\nif not child:", use)
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + wait + fork)], environ)
    assert ran.code == 0, ran.errors
    assert ran.out.split()[-1] == "0"
    assert len(received.spans()) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("client", OPENED)
def test_a_stream_that_is_open_when_its_process_forks_is_the_parents(
    received: Received, environ: dict[str, str], tmp_path: Path, client: str
) -> None:
    pytest.importorskip(client)
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + "import os, sys" + OPENED[client] + FORK_IN_MID_STREAM)], environ)
    assert (ran.code, ran.out.strip(), ran.errors) == (0, "0 True", "")
    [(_, said)] = received.spans()
    assert (said.get("costspan.ended"), said["costspan.cost.state"]) == (None, "priced")
    [[calls]] = received.points("costspan.calls").values()
    assert calls.as_int == 1


@pytest.mark.parametrize("at_the_top", [True, False], ids=["instrumented at the top", "instrumented in the child"])
def test_calls_of_multiprocessings_children_arrive_however_they_are_started(
    received: Received, environ: dict[str, str], tmp_path: Path, at_the_top: bool
) -> None:
    methods = multiprocessing.get_all_start_methods()
    ran = Ran([sys.executable, script(tmp_path, WORKERS), str(at_the_top), *methods], environ)
    assert (ran.code, ran.errors) == (0, "")
    assert ran.out.strip() == str([0] * len(methods))
    instances = {span["costspan.label.way"]: resource["service.instance.id"] for resource, span in received.spans()}
    assert sorted(instances) == sorted(["Executor", "Pool", *(f"Process by {method}" for method in methods)])
    assert len(received.spans()) == len(set(instances.values())) == len(instances)
    counted = {instance: sum(point.as_int for point in points) for instance, points in received.points("costspan.calls").items()}
    assert {instance: number for instance, number in counted.items() if number} == dict.fromkeys(instances.values(), 1)
