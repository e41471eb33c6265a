//! go-plugin's messages and services, as `build.rs` makes them from `proto/goplugin`.

#![expect(
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/goplugin.rs"));
