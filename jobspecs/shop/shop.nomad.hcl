# The shop as a tree: postgres, then its set-up, then api, then nginx. Run it from this directory:
#
#     nomad job run -var shop=/path/of/the/stand-ins shop.nomad.hcl
#
# Run it again after a change: what is as it should be is left alone. Stop all of it, nginx first and postgres last:
#
#     nomad job run -var shop=/path/of/the/stand-ins -var verb=stop shop.nomad.hcl

variable "shop" {
  type        = string
  description = "Path of the program with the shop's stand-ins on the client."
}

variable "postgres_port" {
  type    = number
  default = 5432
}

variable "api_port" {
  type    = number
  default = 8080
}

variable "nginx_port" {
  type    = number
  default = 8081
}

# run or stop.
variable "verb" {
  type    = string
  default = "run"
}

# Another value is another run.
variable "run" {
  type    = string
  default = "1"
}

job "shop" {
  type = "batch"

  meta {
    run = var.run
  }

  group "tree" {
    # A run that has failed is begun anew by people: it would fail again, and its hooks would run again.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "shop" {
      driver = "dtree"

      # It submits with this job's own rights.
      identity {
        file = true
      }

      config {
        verb = var.verb

        job "postgres" {
          jobspec = "local/postgres.nomad.hcl"

          vars = {
            shop          = var.shop
            postgres_port = var.postgres_port
          }

          # Each time when postgres is new or has changed; whatever depends on postgres waits for it.
          post "postgres_setup" {
            jobspec = "local/postgres_setup.nomad.hcl"

            vars = {
              shop     = var.shop
              postgres = "127.0.0.1:${var.postgres_port}"
            }
          }
        }

        job "api" {
          jobspec    = "local/api.nomad.hcl"
          depends_on = ["postgres"]

          vars = {
            shop     = var.shop
            api_port = var.api_port
            postgres = "127.0.0.1:${var.postgres_port}"
          }
        }

        job "nginx" {
          jobspec    = "local/nginx.nomad.hcl"
          depends_on = ["api"]

          vars = {
            shop       = var.shop
            nginx_port = var.nginx_port
            api        = "127.0.0.1:${var.api_port}"
          }
        }
      }

      # The jobspecs travel inside of this one. Other delimiters leave any `{{ }}` in them alone; noop, because nothing
      # here changes while the tree runs.
      template {
        data            = file("postgres.nomad.hcl")
        destination     = "local/postgres.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      template {
        data            = file("postgres_setup.nomad.hcl")
        destination     = "local/postgres_setup.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      template {
        data            = file("api.nomad.hcl")
        destination     = "local/api.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      template {
        data            = file("nginx.nomad.hcl")
        destination     = "local/nginx.nomad.hcl"
        left_delimiter  = "[[["
        right_delimiter = "]]]"
        change_mode     = "noop"
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
