# Writes the row that api needs. A batch job, once, when postgres is healthy.

variable "shop" {
  type        = string
  description = "Path of the program with the shop's stand-ins on the client."
}

variable "postgres" {
  type    = string
  default = "127.0.0.1:5432"
}

job "postgres_setup" {
  type = "batch"

  group "postgres_setup" {
    # Once: what fails stays failed, so that a wrong order cannot hide behind retries.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "after-postgres" {
      driver = "dtree"

      lifecycle {
        hook = "prestart"
      }

      identity {
        file = true
      }

      config {
        wait "postgres" {}
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }

    task "postgres_setup" {
      driver = "raw_exec"

      config {
        command = var.shop
        args    = ["postgres-setup", "--postgres", var.postgres]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
