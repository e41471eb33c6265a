# Serves the row over HTTP. It exits with an error when the row is missing, so it waits for the database and for its set-up.

variable "shop" {
  type        = string
  description = "Path of the program with the shop's stand-ins on the client."
}

variable "postgres" {
  type    = string
  default = "127.0.0.1:5432"
}

variable "api_port" {
  type    = number
  default = 8080
}

job "api" {
  group "api" {
    network {
      port "api" {
        static = var.api_port
      }
    }

    update {
      min_healthy_time = "1s"
      # Both longer than the gate may wait (5 minutes), or the deployment fails before the gate opens.
      healthy_deadline  = "6m"
      progress_deadline = "7m"
    }

    # Once: what fails stays failed, so that a wrong order cannot hide behind retries.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    service {
      name     = "api"
      port     = "api"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
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

        wait "postgres_setup" {
          until = "complete"
        }
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }

    task "api" {
      driver = "raw_exec"

      config {
        command = var.shop
        args    = ["api", "--listen", "${NOMAD_ADDR_api}", "--postgres", var.postgres]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
