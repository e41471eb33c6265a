# Writes the row that api needs. A batch job, and in the tree a hook: it runs each time when postgres has changed.

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
