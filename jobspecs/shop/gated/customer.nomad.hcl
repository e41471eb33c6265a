# Looks through the front door once, when it is open. A job of its own, in no tree, and so it has a gate.

variable "shop" {
  type        = string
  description = "Path of the program with the shop's stand-ins on the client."
}

variable "nginx" {
  type    = string
  default = "127.0.0.1:8081"
}

job "customer" {
  type = "batch"

  group "customer" {
    # Once: what fails stays failed, so that a wrong order cannot hide behind retries.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "after-nginx" {
      driver = "dtree"

      lifecycle {
        hook = "prestart"
      }

      identity {
        file = true
      }

      config {
        wait "nginx" {}
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }

    task "customer" {
      driver = "raw_exec"

      config {
        command = var.shop
        args    = ["customer", "--upstream", var.nginx]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
