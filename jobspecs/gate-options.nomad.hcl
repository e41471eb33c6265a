# Every option of a gate. `worker` starts when all that its gate waits for is so.

job "worker" {
  group "worker" {
    update {
      min_healthy_time = "1s"
      # Longer than the longest wait below, or the deployment fails before the gate opens.
      healthy_deadline  = "11m"
      progress_deadline = "12m"
    }

    task "gate" {
      driver = "dtree"

      lifecycle {
        hook = "prestart"
      }

      identity {
        file = true
      }

      config {
        # The label is the job, unless `job` names another; then the label is only a name.
        wait "db" {
          # running, healthy, complete, failed, finished, stopped or absent.
          # Default: healthy for service and system jobs, complete for batch and sysbatch jobs.
          until = "healthy"

          # Nothing follows from the label alone: these are the defaults, the gate's own namespace and all groups.
          namespace = "default"
          group     = "db"

          # How many allocations, as a number or a share. Default: all.
          at_least = "50%"

          # Without a break for so long. Default: 0s.
          stable_for = "1s"

          # Of a job also: `meta { release = "v7" }`, only a version that carries this counts; `scope = "client"`, only
          # its allocation on this client, for system jobs; `source = "nomad"`, only Nomad's word on its health.

          # From the start of the task; it goes on counting when Nomad or the plugin restarts.
          timeout = "10m"

          # When time is up: fail (default) or continue.
          on_timeout = "fail"

          # While Nomad finds no room for the job, or no client that could run it: wait (default) or fail.
          on_blocked = "wait"
        }

        wait "seed" {
          job   = "db-seed"
          until = "complete"

          # Looked at only when these are so.
          depends_on = ["db"]
        }

        # One of two is enough. What a `when` names counts only through it, and has no time limit of its own.
        wait "either" {
          when       = "cache || replica"
          on_timeout = "continue"
          timeout    = "1m"
        }

        # Any version of the job that is healthy will do, not only the newest.
        wait "cache" {
          any_version = true
        }

        wait "replica" {}

        # If there is no such job, or it has failed for good, nothing is held back.
        wait "metrics" {
          optional = true
        }

        # Other things than jobs: `service`, `tcp`, `http`, `dns`, `variable`, `consul_key`, and a user's word:
        # approval = "the release is announced", given with `nomad alloc exec -task gate ALLOC approve LABEL`.

        # A sidecar of this very allocation.
        wait "proxy is up" {
          task  = "proxy"
          until = "running"
        }
      }
    }

    task "proxy" {
      driver = "raw_exec"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
    }

    task "worker" {
      driver = "raw_exec"

      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
    }
  }
}
