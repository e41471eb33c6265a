//! The oracle has to find what is wrong: records that are doctored, one fault each.
