//! `dtree man`: the manual, made of what the commands say of themselves; and the version.

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::{Failure, Options, Outcome, print};

/// The version, with the versions of Nomad that the stories of this one were run with.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (tested with Nomad 1.11.3)");

/// Prints the manual: what there is to all commands, and then each.
pub(super) fn run() -> Outcome {
    let cannot =
        |error: std::io::Error| Failure::cannot(format!("dtree: cannot write the manual: {error}\n"));
    let mut text = Vec::new();
    let mut command = Options::command();
    command.build();
    Man::new(command.clone()).render(&mut text).map_err(cannot)?;
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let man = Man::new(inner.clone());
        man.render_name_section(&mut text).map_err(cannot)?;
        man.render_synopsis_section(&mut text).map_err(cannot)?;
        man.render_options_section(&mut text).map_err(cannot)?;
    }
    print(&String::from_utf8_lossy(&text))
}
