# A gate and a guard that share what they are about: `web` starts when `db` and `cache` are healthy, and is held back
# again when `db` is lost. That `cache` is lost is only told to it, by a signal.
#
# With ACLs on, the job needs a policy with list-jobs, read-job and alloc-lifecycle in its namespace.

locals {
  # What the group needs. The words are those of a `wait` block.
  upstreams = {
    db    = { until = "healthy" }
    cache = { until = "healthy" }
  }

  # What is done about a loss, and after how long.
  on_loss = {
    db    = { on_loss = "hold", grace = "10s" }
    cache = { on_loss = "signal", signal = "SIGHUP", grace = "5s" }
  }
}

job "web" {
  group "web" {
    task "gate" {
      driver = "dtree"

      lifecycle {
        hook = "prestart"
      }

      identity {
        file = true
      }

      config {
        wait = local.upstreams
      }
    }

    task "guard" {
      driver = "dtree"

      # Beside the main tasks, from when they have started until they are stopped.
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }

      identity {
        file = true
      }

      config {
        wait = { for name, wait in local.upstreams : name => merge(wait, local.on_loss[name]) }
      }
    }

    task "web" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "trap 'echo cache is lost' HUP; while :; do sleep 1; done"]
      }
    }
  }
}
