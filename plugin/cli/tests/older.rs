//! nomad-dtree's own command line.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::{NO_NOMAD, dtree, said_with};

#[test]
fn the_older_tools_command_line_is_taken_as_it_was() {
    let files: &[(&str, &[u8])] = &[
        ("dependency.json", br#"{"dependencies": {"api": {"pre": {"job": "db"}}, "db": {"wait_cond": 1}}}"#),
        ("api.nomad", b"job \"api\" {\n}\n"),
        ("db.nomad", b"job \"db\" {\n}\n"),
        ("comma.json", b"{\"dependencies\": {\n  \"postgres\": {\n    \"post\": {\"job\": \"postgres_setup\", \"wait_cond\": 3}\n    \"wait_cond\": 5\n  }\n}}\n"),
    ];
    let paths = ["--fs-depfile-path", "dependency.json", "--fs-jobs-path", "."];
    let say = |words: &[&str]| dtree(files, &[words, &paths].concat(), "");
    assert_eq!(say(&["run", "--job", "api"]), NO_NOMAD);
    assert_snapshot!(say(&["stop", "-job", "nothing", "-deep"]), @r#"
    --- stderr
    error: has no entry for nothing
     --> dependency.json:1:1
      |
    1 | {"dependencies": {"api": {"pre": {"job": "db"}}, "db": {"wait_cond": 1}}}
      | ^

    1 problem in dependency.json
    --- exit 2
    "#);
    assert_snapshot!(dtree(files, &["run", "--job", "postgres", "--fs-depfile-path", "comma.json", "--fs-jobs-path", "."], ""), @r#"
    --- stderr
    error: a comma is missing between this and `"wait_cond"`
     --> comma.json:3:53
      |
    3 |     "post": {"job": "postgres_setup", "wait_cond": 3}
      |                                                     ^
      |
      = help: write a `,` here

    1 problem in comma.json
    --- exit 2
    "#);
    assert_snapshot!(dtree(files, &["run", "--job", "api", "--fs-depfile-path", "dependency.json"], ""), @"
    --- stderr
    dtree: it is not said where the jobs are: give `--fs-jobs-path`, or set FS_JOBS_PATH
    --- exit 2
    ");
    assert_snapshot!(dtree(files, &["run", "--job", "api", "--fs-depfile-path", "dependency.json", "--fs-jobs-path", "none"], ""), @"
    --- stderr
    dtree: cannot read the jobspecs in none: there is no such directory
    --- exit 2
    ");
    assert_snapshot!(dtree(files, &["run", "--store", "Filesystem"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      --job <JOB>

    Usage: dtree --job <JOB> --store <STORE> --address <URL> <VERB>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_snapshot!(dtree(files, &["run", "--job", "x", "--store", "consull"], ""), @"
    --- stderr
    error: invalid value 'consull' for '--store <STORE>'
      [possible values: filesystem, consul]

      tip: a similar value exists: 'consul'

    For more information, try '--help'.
    --- exit 2
    ");
    let with_cert = ["run", "--job", "api", "--nomad-addr", "https://127.0.0.1:1", "--cert-file", "a.pem"];
    assert_snapshot!(say(&with_cert), @"
    --- stderr
    dtree: --cert-file is of no use without its key: name it by --key-file
    --- exit 2
    ");
    let consul = ["--consul-addr", "127.0.0.1:1", "--consul-depfile-path", "a/b", "--consul-jobs-path", "c"];
    assert_snapshot!(dtree(files, &[&["run", "--job", "x", "--store", "consul"][..], &consul].concat(), ""), @"
    --- stderr
    dtree: cannot reach Consul at http://127.0.0.1:1: Connection refused (os error 111)

    hint: check that Consul is up, and its address: `--consul-addr`
    --- exit 2
    ");
}

#[test]
fn the_older_tools_variables_say_what_its_options_say() {
    let home = TempDir::new().unwrap();
    let say = |words: &[&str], variables: &[(&str, &str)]| said_with(home.path(), words, "", variables);
    fs::write(home.path().join("depends.json"), r#"{"dependencies": {"api": {}}}"#).unwrap();
    fs::create_dir(home.path().join("jobs")).unwrap();
    fs::write(home.path().join("jobs/api.nomad"), "job \"api\" {\n}\n").unwrap();

    let files = [("FS_DEP_FILEPATH", "depends.json"), ("FS_JOBS_PATH", "jobs")];
    let nomad = [files[0], files[1], ("NOMAD_ADDR", "http://127.0.0.1:1")];
    assert_snapshot!(say(&["run", "--job", "api"], &nomad), @"
    --- stderr
    dtree: cannot reach Nomad at http://127.0.0.1:1: Connection refused (os error 111)

    hint: check that the agent and its servers are up: `nomad server members`
    --- exit 2
    ");
    assert_snapshot!(say(&["run", "--job", "api"], &files[..1]), @"
    --- stderr
    dtree: it is not said where the jobs are: give `--fs-jobs-path`, or set FS_JOBS_PATH
    --- exit 2
    ");
    assert_snapshot!(say(&["run", "--job", "api"], &files[1..]), @"
    --- stderr
    dtree: it is not said where the dependency file is: give `--fs-depfile-path`, or set FS_DEP_FILEPATH
    --- exit 2
    ");
    // An option goes before its variable.
    assert_snapshot!(say(&["run", "--job", "api", "--fs-depfile-path", "other.json"], &files), @"
    --- stderr
    dtree: cannot read other.json: there is no such file
    --- exit 2
    ");

    let cert = [files[0], files[1], ("NOMAD_ADDR", "https://127.0.0.1:1"), ("CERT_FILE", "a.pem")];
    assert_snapshot!(say(&["run", "--job", "api"], &cert), @"
    --- stderr
    dtree: --cert-file is of no use without its key: name it by --key-file
    --- exit 2
    ");
    let key = [cert[0], cert[1], cert[2], ("KEY_FILE", "a-key.pem")];
    assert_snapshot!(say(&["run", "--job", "api"], &key), @"
    --- stderr
    dtree: --key-file is of no use without its certificate: name it by --cert-file
    --- exit 2
    ");

    let run = ["run", "--job", "api", "--store", "consul"];
    let consul = [("CONSUL_ADDRESS", "127.0.0.1:1"), ("CONSUL_DEP_FILEPATH", "d"), ("CONSUL_JOBS_PATH", "j")];
    assert_snapshot!(say(&run, &consul), @"
    --- stderr
    dtree: cannot reach Consul at http://127.0.0.1:1: Connection refused (os error 111)

    hint: check that Consul is up, and its address: `--consul-addr`
    --- exit 2
    ");
    assert_snapshot!(say(&run, &consul[..1]), @"
    --- stderr
    dtree: it is not said which key has the dependency file: give `--consul-depfile-path`, or set CONSUL_DEP_FILEPATH
    --- exit 2
    ");
    assert_snapshot!(say(&run, &consul[..2]), @"
    --- stderr
    dtree: it is not said which keys have the jobs: give `--consul-jobs-path`, or set CONSUL_JOBS_PATH
    --- exit 2
    ");
    // Without an address of its own, Consul's own variables count.
    let say = |variable: (&str, &str)| {
        let own = ("CONSUL_HTTP_ADDR", "127.0.0.1:2");
        let said = say(&run, &[own, variable, consul[1], consul[2]]);
        said.lines().nth(1).unwrap().to_owned()
    };
    assert_snapshot!(say(("CONSUL_ADDRESS", "")), @"dtree: cannot reach Consul at http://127.0.0.1:2: Connection refused (os error 111)");
    assert_snapshot!(say(("CONSUL_HTTP_SSL", "true")), @"dtree: cannot reach Consul at https://127.0.0.1:2: Connection refused (os error 111)");
    assert_snapshot!(say(("CONSUL_HTTP_SSL", "yes")), @r#"dtree: CONSUL_HTTP_SSL is "yes", which is neither `true` nor `false`"#);
    assert_snapshot!(say(("CONSUL_CLIENT_CERT", "a.pem")), @"dtree: CONSUL_CLIENT_CERT is of no use without its key: name it by CONSUL_CLIENT_KEY");
    assert_snapshot!(say(("CERT_FILE", "a.pem")), @"dtree: --cert-file is of no use without its key: name it by --key-file");
    assert_snapshot!(say(("CONSUL_HTTP_TOKEN", "not one")), @"dtree: the token has letters that no token has: check CONSUL_HTTP_TOKEN");
    assert_snapshot!(say(("CONSUL_HTTP_TOKEN_FILE", "none")), @"dtree: cannot read Consul's token in `none`: No such file or directory (os error 2)");
}
