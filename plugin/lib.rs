//! dtree: dependency order for HashiCorp Nomad.
//!
//! The binary is a Nomad task driver plugin. A task with `driver = "dtree"` is a *gate*, a prestart task that holds its
//! group's main tasks back until the jobs they need are healthy, or a *tree*, which submits jobs in dependency order with
//! hook jobs before and after them. `docs/ARCHITECTURE.md` draws the house:
//!
//! ```text
//!              main
//!           ┌────┴────┐
//!       goplugin     cli        speaks to the host  /  to people
//!           └────┬────┘
//!              driver          Nomad's driver RPCs
//!                │
//!              runner          the loop: events in, actions performed
//!            ┌───┴────┐
//!          watch    nomad      the shared view  /  Nomad's API
//!            │        │
//!          probe    consul     answers about what is no job  /  Consul's API
//!            │        │
//!          record  jobspec     what a run has written down  /  a tree's jobspecs, read, parsed and checked
//!  ══════════╪════════╪═══════ no clock, no IO, no async below this line
//!          engine ────┤        carries out a plan: step(now, event) → actions
//!            │        │
//!          plan     show       manifest → graph of steps  /  pictures and tables
//!       ┌────┴─────┐
//!   condition   manifest       when is it so?  /  what the user wrote
//!       │
//!    cluster                   what Nomad shows, as plain data
//! ```

pub mod beneath;
pub mod cli;
pub mod cluster;
pub mod condition;
pub mod consul;
pub mod driver;
pub mod engine;
pub mod goplugin;
pub mod http;
pub mod jobspec;
pub mod manifest;
pub mod nomad;
pub mod plan;
pub mod probe;
pub mod record;
pub mod runner;
pub mod show;
pub mod timer;
pub mod watch;

#[cfg(test)]
mod architecture;
