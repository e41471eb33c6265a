# The smallest gate: `web` starts only when the job `db` is healthy.

job "web" {
  group "web" {
    task "after-db" {
      driver = "dtree"

      # Nomad waits for a prestart task, as long as it is no sidecar.
      lifecycle {
        hook = "prestart"
      }

      # The gate looks with this job's own rights.
      identity {
        file = true
      }

      config {
        wait "db" {}
      }
    }

    task "web" {
      driver = "raw_exec"

      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
    }
  }
}
