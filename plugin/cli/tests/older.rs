//! nomad-dtree's own command line.

use insta::assert_snapshot;

use super::dtree;

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
    assert_snapshot!(say(&["run", "--job", "api"]), @"
    --- stderr
    dtree: cannot reach Nomad at unix:///nowhere/api.sock: No such file or directory (os error 2)

    hint: check that the agent and its servers are up: `nomad server members`
    --- exit 2
    ");
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
    --- exit 2
    ");
}
