#!/usr/bin/env node
// Reads a JSON list of TraceQL queries; writes a list of where each of them is no TraceQL, by the grammar that Grafana's editor has.
const { join } = require("node:path");
const { readFileSync } = require("node:fs");
const { parser } = require(join(__dirname, "..", "traceql", "node_modules", "@grafana", "lezer-traceql"));

function faults(query) {
  const found = [];
  parser.parse(query).iterate({ enter: (node) => void (node.type.isError && found.push(node.from)) });
  return found;
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(faults)));
