//! Where the programs are: Nomad's, and the ones this build has made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The programs that a cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    /// Nomad, agent and command line.
    pub(crate) nomad: PathBuf,
    /// The plugin under test.
    pub(crate) dtree: PathBuf,
    /// The stand-ins of `jobspecs/shop`.
    pub(crate) shop: PathBuf,
    /// Cleans up after an agent.
    pub(crate) warden: PathBuf,
}

impl Binaries {
    /// Looks once in the life of this process. The error says what is missing and how to get it.
    pub(crate) fn find() -> Result<&'static Self, String> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        FOUND.get_or_init(Self::look).as_ref().map_err(Clone::clone)
    }

    fn look() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("a Nomad client has to run as root here: it mounts its tasks' directories".to_owned());
        }
        // This program is in target/PROFILE/deps or target/PROFILE/examples.
        let this =
            std::env::current_exe().map_err(|error| format!("cannot tell where this program is: {error}"))?;
        let built = this.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
        let found = Self {
            nomad: find("nomad")?,
            dtree: built.join("dtree"),
            shop: built.join("examples/shop"),
            warden: built.join("examples/warden"),
        };
        for program in [&found.dtree, &found.shop, &found.warden] {
            if !program.is_file() {
                return Err(format!(
                    "{} is missing; `cargo build --bins --examples` makes it",
                    program.display()
                ));
            }
        }
        Ok(found)
    }
}

/// Consul, which only a few stories need.
pub(super) fn consul() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(|| find("consul")).clone()
}

/// Asks `e2e/NAME/find`, which may build it; its progress goes to our stderr.
fn find(name: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e").join(name).join("find");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", script.display()))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(path.into())
    } else {
        Err(format!("there is no {name} to run; what is missing is said above"))
    }
}
