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

        # Any version of the job that is healthy will do, not only the newest.
        wait "cache" {
          any_version = true
          on_timeout  = "continue"
          timeout     = "1m"
        }

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
