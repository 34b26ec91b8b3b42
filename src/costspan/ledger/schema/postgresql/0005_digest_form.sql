-- What the digest of a day is over: 2 where failed attempts are part of it, null where it is of calls alone (docs/audit.md).
alter table audit_days add column form bigint;
