//! Nomad's messages and services, as `build.rs` makes them from `proto/nomad`.

#![expect(
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    clippy::enum_variant_names,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/nomad.rs"));

pub(super) use hashicorp::nomad::plugins::{
    base::proto as base,
    drivers::proto as drivers,
    shared::{hclspec, structs},
};
