# The front door: forwards to api. It exits with an error when api does not answer.

variable "shop" {
  type        = string
  description = "Path of the program with the shop's stand-ins on the client."
}

variable "api" {
  type    = string
  default = "127.0.0.1:8080"
}

variable "nginx_port" {
  type    = number
  default = 8081
}

job "nginx" {
  group "nginx" {
    network {
      port "nginx" {
        static = var.nginx_port
      }
    }

    update {
      min_healthy_time = "1s"
      healthy_deadline = "1m"
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
      name     = "nginx"
      port     = "nginx"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "nginx" {
      driver = "raw_exec"

      config {
        command = var.shop
        args    = ["nginx", "--listen", "${NOMAD_ADDR_nginx}", "--upstream", var.api]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
