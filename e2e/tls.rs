//! A Nomad that speaks TLS only, and wants to see a certificate of whoever asks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::harness::{Agent, Options, seconds, wait_for};
use crate::story::Story;

/// Long enough for an agent to start and for two jobs to come up.
const PATIENCE: Duration = seconds(180);

/// An authority of the story's own, and what it has issued, in PEM files.
pub(crate) struct Papers {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Papers {
    pub(crate) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("the story has a directory");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = params.self_signed(&key).expect("a certificate");
        fs::write(dir.join("ca.pem"), ca.pem()).expect("it is written");
        Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for these hosts and its key: `NAME.pem` and `NAME-key.pem`.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let params = CertificateParams::new(hosts).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.dir.join(format!("{name}.pem")), certificate.pem()).expect("it is written");
        fs::write(self.dir.join(format!("{name}-key.pem")), key.serialize_pem()).expect("it is written");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// What the command says, and whether it has done what it was asked to.
fn dtree(dir: &Path, args: &[&str], environment: &BTreeMap<&str, String>) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(environment)
        .output()
        .expect("the command runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn job(id: &str, gate: &str) -> String {
    format!(
        r#"job "{id}" {{
  group "g" {{
    update {{
      min_healthy_time = "100ms"
      health_check     = "task_states"
    }}
    {gate}
    task "main" {{
      driver = "mock_driver"
      config {{
        run_for = "1h"
      }}
      resources {{
        cpu    = 1
        memory = 10
      }}
    }}
  }}
}}
"#
    )
}

#[test]
fn a_tree_and_a_gate_in_a_nomad_that_wants_certificates() {
    let story = Story::alone(Options::default());
    let dir = story.cluster().dir().join("papers");
    let papers = Papers::new(&dir);
    let strangers = Papers::new(&dir.join("strangers"));
    papers.issue("agent", &["server.global.nomad", "client.global.nomad", "localhost"]);
    papers.issue("dtree", &["dtree"]);
    let (ca, cert, key) = (papers.path("ca.pem"), papers.path("dtree.pem"), papers.path("dtree-key.pem"));
    let files = format!("ca_file = \"{ca}\"\n cert_file = \"{cert}\"\n key_file = \"{key}\"");
    let options = Options {
        plugin: format!(
            "config {{\n nomad {{\n address = \"https://127.0.0.1:{{http}}\"\n {files}\n tls_server_name = \"client.global.nomad\"\n}}\n}}"
        ),
        blocks: format!(
            "tls {{\n http = true\n verify_https_client = true\n ca_file = \"{ca}\"\n cert_file = \"{}\"\n key_file = \"{}\"\n}}",
            papers.path("agent.pem"),
            papers.path("agent-key.pem")
        ),
        ..Options::default()
    };
    let mut agent = Agent::new("tls", story.cluster().dir(), &options, &[]).expect("its directory is made");
    agent.start().expect("it starts");

    let gate = r#"task "gate" {
      driver = "dtree"
      lifecycle {
        hook = "prestart"
      }
      config {
        wait "db" {}
      }
    }"#;
    fs::write(dir.join("db.nomad.hcl"), job("db", "")).expect("it is written");
    fs::write(dir.join("web.nomad.hcl"), job("web", gate)).expect("it is written");
    let tree = "tree \"shop\" {\n job \"db\" {\n jobspec = \"db.nomad.hcl\"\n}\n job \"web\" {\n jobspec = \"web.nomad.hcl\"\n}\n}";
    fs::write(dir.join("shop.dtree.hcl"), tree).expect("it is written");

    let known = BTreeMap::from([
        ("NOMAD_ADDR", format!("https://localhost:{}", agent.address().port())),
        ("NOMAD_CACERT", ca.clone()),
        ("NOMAD_CLIENT_CERT", cert),
        ("NOMAD_CLIENT_KEY", key),
    ]);
    wait_for(PATIENCE, || match dtree(&dir, &["doctor"], &known) {
        (true, _) => Ok(()),
        (false, said) => Err(said),
    })
    .unwrap_or_else(|why| panic!("{why}\n{}", agent.log()));

    // What is wrong is said, and nothing is done.
    let mut unknown = known.clone();
    unknown.remove("NOMAD_CLIENT_CERT");
    unknown.remove("NOMAD_CLIENT_KEY");
    let mut strange = known.clone();
    strange.insert("NOMAD_CACERT", strangers.path("ca.pem"));
    let mut misnamed = known.clone();
    misnamed.insert("NOMAD_TLS_SERVER_NAME", "elsewhere.example".to_owned());
    let mut plain = known.clone();
    plain.insert("NOMAD_ADDR", format!("http://localhost:{}", agent.address().port()));
    for (environment, words) in [
        (unknown, "wants to see a certificate of ours"),
        (strange, "was issued by an authority that is not in"),
        (misnamed, "is not for `elsewhere.example`"),
        (plain, "write `https://`"),
    ] {
        let (is_done, said) = dtree(&dir, &["run", "shop.dtree.hcl"], &environment);
        assert!(!is_done && said.contains(words), "not about {words:?}: {said}");
    }

    // The gate of web opens by what the plugin sees over TLS.
    let (is_done, said) = dtree(&dir, &["run", "shop.dtree.hcl"], &known);
    assert!(is_done && said.contains("web"), "{said}\n{}", agent.log());

    // The older tool's command line names the same files in its own way.
    fs::write(dir.join("dependency.json"), r#"{"dependencies":{"cache":{"wait_cond":1}}}"#)
        .expect("it is written");
    fs::write(dir.join("cache.nomad"), job("cache", "")).expect("it is written");
    let text = |name: &str| known[name].as_str();
    let older = [
        ["run", "--job", "cache"].as_slice(),
        &["--nomad-addr", text("NOMAD_ADDR"), "--fs-depfile-path", "dependency.json", "--fs-jobs-path", "."],
        &["--root-ca-file", text("NOMAD_CACERT")],
    ]
    .concat();
    let (is_done, said) = dtree(&dir, &older, &BTreeMap::new());
    assert!(
        !is_done && said.contains("wants to see a certificate") && said.contains("--cert-file"),
        "{said}"
    );
    let own = ["--cert-file", text("NOMAD_CLIENT_CERT"), "--key-file", text("NOMAD_CLIENT_KEY")];
    let (is_done, said) = dtree(&dir, &[older.as_slice(), &own].concat(), &BTreeMap::new());
    assert!(is_done && said.contains("cache"), "{said}\n{}", agent.log());
}
