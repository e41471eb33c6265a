# A hook task: `migrate` runs once for each release, however many allocations there are, before `web` starts in any.

variable "release" {
  type    = string
  default = "v1"
}

job "web-migrated" {
  group "web" {
    count = 3

    task "migrate" {
      driver = "dtree"

      lifecycle {
        hook = "prestart"
      }

      # It launches with this job's own rights.
      identity {
        file = true
      }

      config {
        hook "migrate" {
          jobspec = "local/migrate.nomad.hcl"
          once    = var.release # without it each allocation, each restart after a failure and each reschedule runs it
          timeout = "5m"
        }
      }

      # A template of its own file is as good: `data = file("migrate.nomad.hcl")`.
      template {
        destination     = "local/migrate.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
        data            = <<-END
          job "migrate" {
            type = "batch"

            group "migrate" {
              task "migrate" {
                driver = "raw_exec"

                config {
                  command = "/bin/sh"
                  args    = ["-c", "echo the tables are there"]
                }
              }
            }
          }
        END
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
