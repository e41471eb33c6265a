# Every option of a tree. Run it from this directory: `nomad job run stack.nomad.hcl`. It waits for a job `vault` first.

job "stack" {
  type = "batch"

  group "tree" {
    # A run that has failed is begun anew by people: it would fail again, and its hooks would run again.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "stack" {
      driver = "dtree"

      identity {
        file = true
      }

      config {
        # When a node fails: finish (default: begin nothing new, let end what is under way), continue (go on with what
        # does not depend on it), cancel (wait for nothing more, stop hooks that run). Jobs are never stopped.
        on_failure = "finish"

        # How many jobs and hooks are under way at the same time. Default: 10.
        max_parallel = 10

        # How long the whole run may take. Default: as long as its nodes may.
        timeout = "30m"

        # Something that others run. All that a gate can wait for; see gate-options.nomad.hcl.
        wait "vault" {}

        # The label is the node's name, for `depends_on`. The job's ID is what its jobspec says.
        job "db" {
          # In the task's directory, HCL or JSON; a template or artifact block brings it there.
          jobspec = "local/db.nomad.hcl"

          # Values for the jobspec's variables. One that it does not declare is refused.
          vars = {
            seconds = 1000
          }

          # Jobs with their post hooks, and waits.
          depends_on = ["vault", "migrate"]

          # Default: what the jobspec says, and else the tree's own.
          namespace = "default"

          # Jobs with the same word are never brought up at the same time.
          exclusive = "disk"

          # Whether to take over a job that no tree has submitted. Default: it is left alone, and the node fails.
          adopt = true

          # When it counts as ready.
          ready {
            # running, healthy, complete or finished. Default: healthy, and complete for batch and sysbatch jobs.
            until = "healthy"

            # Default: all allocations, of all groups.
            at_least = "100%"
            group    = "db"

            # Without a break. Default: at once.
            stable_for = "1s"

            # Default: the job's own progress_deadline and half a minute.
            timeout = "10m"

            # While Nomad finds no room for it: wait (default) or fail.
            on_blocked = "wait"
          }

          # Before db is created or changed. A hook is a batch job that runs once for each change of its job.
          pre "backup" {
            jobspec = "local/hook.nomad.hcl"

            vars = {
              says = "backed up"
            }

            # Added to the jobspec's own.
            meta = {
              why = "db changes"
            }

            # Of one attempt. Default: 10m.
            timeout = "5m"

            # Attempts after the first. Default: 0.
            retries = 2

            # fail (default) or continue.
            on_failure = "continue"

            # Which of its jobs stay registered: failed (default), all or none.
            retain = "failed"
          }

          # When db, created or changed, is ready; before anything that depends on db.
          post "schema" {
            # A parameterized job that is registered, instead of a jobspec.
            dispatch = "migrate"
            payload  = "all tables"

            meta = {
              release = "v7"
            }
          }

          # Hooks of one job and moment run at the same time, unless depends_on orders them.
          post "rows" {
            jobspec    = "local/hook.nomad.hcl"
            depends_on = ["schema"]

            vars = {
              says = "rows written"
            }
          }
        }

        job "migrate" {
          jobspec = "local/migrate.nomad.hcl"
        }

        job "web" {
          jobspec    = "local/web.nomad.hcl"
          depends_on = ["db"]
        }
      }

      # Other delimiters leave any `{{ }}` in a jobspec alone; noop, because nothing here changes while the tree runs.
      template {
        data            = file("db.nomad.hcl")
        destination     = "local/db.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      template {
        data            = file("hook.nomad.hcl")
        destination     = "local/hook.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      template {
        data            = file("migrate.nomad.hcl")
        destination     = "local/migrate.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      template {
        data            = file("web.nomad.hcl")
        destination     = "local/web.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
