# The bottom of the shop: a database that needs three seconds before it answers. It waits for nobody.

variable "shop" {
  type        = string
  description = "Path of the program with the shop's stand-ins on the client."
}

variable "postgres_port" {
  type    = number
  default = 5432
}

job "postgres" {
  group "postgres" {
    network {
      port "postgres" {
        static = var.postgres_port
      }
    }

    update {
      min_healthy_time = "1s"
      healthy_deadline = "1m"
    }

    service {
      name     = "postgres"
      port     = "postgres"
      provider = "nomad"

      check {
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "postgres" {
      driver = "raw_exec"

      config {
        command = var.shop
        args    = ["postgres", "--listen", "${NOMAD_ADDR_postgres}"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
