//! `warpdrive devices`: what is there, and why something is not usable.
