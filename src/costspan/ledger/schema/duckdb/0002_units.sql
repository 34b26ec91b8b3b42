-- What else a call used: pages, searches, seconds of audio. A JSON object of unit and amount.
alter table calls add column units varchar;
