//! The least policy for what a file declares.

use std::{fs, os::unix::fs::symlink};

use insta::assert_snapshot;
use tempfile::TempDir;

use super::{PLAIN, SHOP, dtree, said};

#[test]
fn a_policy_grants_what_a_tree_needs_and_says_how_to_attach_it() {
    assert_snapshot!(dtree(&[("shop.dtree.hcl", SHOP.as_bytes())], &["policy", "shop.dtree.hcl"], ""), @r#"
    # What tree "shop" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace default -job shop dtree-shop FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-shop FILE
    #     nomad acl token create -name dtree-shop -type client -policy dtree-shop
    #
    # Not found beside the file, and taken to be in namespace default: local/api.nomad.hcl, local/nginx.nomad.hcl, local/postgres.nomad.hcl
    namespace "default" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
        "dispatch-job",    # runs parameterized jobs
        "read-logs",       # tells the last words of what failed
      ]
      variables {
        path "dtree/default/shop/*" {
          capabilities = ["read", "write"]
        }
        path "dtree/~held/default/redis/*" {
          capabilities = ["read", "write", "destroy"]
        }
      }
    }
    --- exit 0
    "#);
    // Jobspecs beside the file say where their jobs are.
    let files: &[(&str, &[u8])] = &[
        ("data.dtree.hcl", b"tree \"data\" {\n  job \"pg\" { jobspec = \"local/pg.hcl\" }\n  job \"mq\" {\n    jobspec = \"local/mq.hcl\"\n    namespace = \"queues\"\n  }\n}\n"),
        ("pg.hcl", b"job \"pg\" {\n  namespace = \"stores\"\n}\n"),
    ];
    assert_snapshot!(dtree(files, &["policy", "data.dtree.hcl", "--namespace", "ops"], ""), @r#"
    # What tree "data" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace ops -job data dtree-data FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-data FILE
    #     nomad acl token create -name dtree-data -type client -policy dtree-data
    namespace "ops" {
      variables {
        path "dtree/ops/data/*" {
          capabilities = ["read", "write"]
        }
      }
    }
    namespace "queues" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
    }
    namespace "stores" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
    }
    --- exit 0
    "#);
    let stop = SHOP
        .replace("tree \"shop\" {", "tree \"shop\" {\n  verb = \"stop\"\n  stop {\n    purge = true\n  }");
    assert_snapshot!(dtree(&[], &["policy", "-"], &stop), @r#"
    # What tree "shop" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace default -job shop dtree-shop FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-shop FILE
    #     nomad acl token create -name dtree-shop -type client -policy dtree-shop
    #
    # Not found beside the file, and taken to be in namespace default: local/api.nomad.hcl, local/nginx.nomad.hcl, local/postgres.nomad.hcl
    namespace "default" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
      variables {
        path "dtree/default/shop/*" {
          capabilities = ["read", "write", "destroy"]
        }
        path "dtree/~held/default/*" {
          capabilities = ["read"]
        }
        path "dtree/~held/default/redis/*" {
          capabilities = ["read", "write", "destroy"]
        }
      }
    }
    --- exit 0
    "#);
}

#[test]
fn a_policy_for_tasks_names_them() {
    let jobspec = |tasks: &str| {
        format!("job \"web\" {{\n  namespace = \"front\"\n  group \"g\" {{\n{tasks}\n  }}\n}}\n")
    };
    let task = |name: &str, config: &str| {
        format!(
            "    task \"{name}\" {{\n      driver = \"dtree\"\n      config {{\n{config}\n      }}\n    }}"
        )
    };
    let gate = task(
        "gate",
        "wait \"db\" { namespace = \"data\" }\nwait \"redis\" { service = \"redis\" }\nwait \"up\" { tcp = \"db:1\" }\n\
         wait \"v\" {\n variable = \"app/v\"\n}\nwait \"c\" {\n service = \"c\"\n provider = \"consul\"\n}\n\
         wait \"k\" { consul_key = \"k\" }\nwait \"ok\" { approval = \"release\" }",
    );
    assert_snapshot!(dtree(&[], &["policy", "-"], &jobspec(&gate)), @r#"
    # What task "gate" of job "web" needs in Nomad, and no more.
    # Attach it to the task; it takes effect at once:
    #     nomad acl policy apply -namespace front -job web -group g -task gate dtree-web FILE
    #
    # wait "c" asks Consul, with the plugin's own token: it needs service:read and node:read.
    #
    # wait "k" asks Consul, with the plugin's own token: it needs key:read.
    #
    # wait "ok" is approved by a user (`dtree approve`), whose token needs, in a policy of its own:
    #     namespace "front" { capabilities = ["list-jobs", "read-job", "alloc-exec"] }
    namespace "data" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
      ]
    }
    namespace "front" {
      capabilities = [
        "read-job",        # shows jobs, allocations, deployments and checks
      ]
      variables {
        path "app/v" {
          capabilities = ["read"]
        }
      }
    }
    --- exit 0
    "#);
    let guard = task("guard", "wait \"db\" { on_loss = \"restart\" }");
    let hook = task("migrate", "hook \"migrate\" {\n  dispatch = \"migrate\"\n  once = \"v7\"\n}");
    assert_snapshot!(dtree(&[], &["policy", "-"], &jobspec(&format!("{guard}\n{hook}"))), @r#"
    # What task "guard" of job "web", task "migrate" of job "web" needs in Nomad, and no more.
    # Attach it to the job; it takes effect at once:
    #     nomad acl policy apply -namespace front -job web dtree-web FILE
    namespace "front" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
        "dispatch-job",    # runs parameterized jobs
        "read-logs",       # tells the last words of what failed
        "alloc-lifecycle", # signals and restarts the allocation
      ]
      variables {
        path "dtree/~once/migrate/*" {
          capabilities = ["read", "write"]
        }
      }
    }
    --- exit 0
    "#);
    let none = task("gate", "wait \"up\" { dns = \"db\" }");
    assert_snapshot!(dtree(&[], &["policy", "-"], &jobspec(&none)), @r#"
    # task "gate" of job "web" needs no right in Nomad.
    --- exit 0
    "#);

    let two = "tree \"a\" {\n  wait \"x\" {}\n}\ntree \"b\" {\n  wait \"y\" {}\n}\n";
    assert_snapshot!(dtree(&[], &["policy", "-"], two), @"
    --- stderr
    dtree: stdin declares several trees, and a policy is for one: keep it in a file of its own
    --- exit 2
    ");
}

#[test]
fn what_an_approver_needs_is_a_policy_of_its_own() {
    let tree = PLAIN
        .replace("job \"db\"", "wait \"release\" {\n    approval = \"it is announced\"\n  }\n  job \"db\"");
    assert_snapshot!(dtree(&[], &["policy", "-"], &tree), @r#"
    # What tree "plain" needs in Nomad, and no more.
    # Attach it to the job that carries the tree; it takes effect at once:
    #     nomad acl policy apply -namespace default -job plain dtree-plain FILE
    # Or give it to a token, for a tree that is run from a shell:
    #     nomad acl policy apply dtree-plain FILE
    #     nomad acl token create -name dtree-plain -type client -policy dtree-plain
    #
    # Not found beside the file, and taken to be in namespace default: api.nomad.hcl, db.nomad.hcl
    #
    # wait "release" is approved by a user (`dtree approve`), whose token needs, in a policy of its own:
    #     namespace "default" { capabilities = ["list-jobs", "read-job", "alloc-exec"] }
    # or, where the tree is run from a shell:
    #     namespace "default" { capabilities = ["list-jobs", "read-job"] variables { path "dtree/default/plain/~approvals" { capabilities = ["read", "write"] } path "dtree/default/plain/~run" { capabilities = ["read"] } } }
    namespace "default" {
      capabilities = [
        "list-jobs",       # tells a job that is not there
        "read-job",        # shows jobs, allocations, deployments and checks
        "submit-job",      # reads jobspecs, registers jobs, stops them
      ]
      variables {
        path "dtree/default/plain/*" {
          capabilities = ["read", "write"]
        }
      }
    }
    --- exit 0
    "#);
}

#[test]
fn jobspecs_from_elsewhere_are_read_for_their_namespaces_with_a_flag() {
    let above = TempDir::new().unwrap();
    let home = above.path().join("trees");
    let elsewhere = TempDir::new().unwrap();
    fs::create_dir(&home).unwrap();
    let job = |namespace: &str| format!("job \"x\" {{\n  namespace = \"{namespace}\"\n}}\n");
    fs::write(above.path().join("up.hcl"), job("above")).unwrap();
    fs::write(elsewhere.path().join("abs.hcl"), job("absolute")).unwrap();
    fs::write(elsewhere.path().join("target.hcl"), job("linked")).unwrap();
    symlink(elsewhere.path().join("target.hcl"), home.join("link.hcl")).unwrap();
    let tree = format!(
        "tree \"plain\" {{\n  job \"a\" {{\n    jobspec = \"../up.hcl\"\n  }}\n  job \"b\" {{\n    jobspec = \"{}\"\n  }}\n  job \"c\" {{\n    jobspec = \"local/link.hcl\"\n  }}\n}}\n",
        elsewhere.path().join("abs.hcl").display()
    );
    fs::write(home.join("plain.hcl"), tree).unwrap();
    for command in ["policy", "doctor"] {
        let said = said(&home, &[command, "plain.hcl"], "");
        assert!(said.contains("2 problems in plain.hcl") && said.contains("`--outside` reads it"), "{said}");
    }
    let policy = said(&home, &["policy", "plain.hcl", "--outside"], "");
    for namespace in ["above", "absolute", "linked"] {
        assert!(policy.contains(&format!("\nnamespace \"{namespace}\" {{\n  capabilities")), "{policy}");
    }
    assert!(!policy.contains("Not found") && policy.ends_with("--- exit 0"), "{policy}");
    let doctor = said(&home, &["doctor", "plain.hcl", "--outside"], "");
    assert!(doctor.contains("cannot reach Nomad"), "{doctor}");
    // A link out of the directory alone takes the flag, too.
    fs::write(home.join("plain.hcl"), PLAIN.replace("db.nomad.hcl", "link.hcl")).unwrap();
    let policy = said(&home, &["policy", "plain.hcl"], "");
    assert!(policy.contains("Not found beside the file") && policy.contains("link.hcl"), "{policy}");
}
