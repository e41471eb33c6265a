//! Stories about gates and trees in a real Nomad, grouped by subject, and the oracles that judge each of them.
//!
//! `make stories` runs them. They need a Nomad (`e2e/nomad/find`), some of them a Consul (`e2e/consul/find`), and
//! root, and say so when they lack one.

#![expect(clippy::disallowed_methods, reason = "the stories live in real time")]
#![expect(clippy::indexing_slicing, reason = "a JSON value without that key gives null, and no panic")]

#[expect(dead_code, unused_imports, reason = "the demo uses the rest")]
mod harness;
mod oracle;
mod story;

mod access;
mod bad_input;
mod cli_approve;
mod cli_look;
mod cli_look_access;
mod cli_manners;
mod cli_older;
mod cli_plan;
mod cli_run;
mod cli_stop;
mod cli_submit;
mod conditions;
mod demo_runs;
mod guard;
mod hooks;
mod live;
mod order;
mod outside;
mod outside_consul;
mod recovery;
mod tasks;
mod tls;
mod tree_access;
mod tree_afterwards;
mod tree_bad_input;
mod tree_conditions;
mod tree_drains;
mod tree_failure;
mod tree_hooks;
mod tree_journal;
mod tree_lead;
mod tree_moments;
mod tree_outputs;
mod tree_record;
mod tree_recovery;
mod tree_stop;
mod trees;
mod waits;
mod why;
