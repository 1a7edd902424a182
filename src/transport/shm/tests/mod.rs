//! The ring under loom, against a model and against a hostile peer, and all parts together.

mod blobs;
mod books;
mod broadcast;
mod broadcast_model;
mod hostile;
mod loom_memory;
mod model;
mod ring;
mod whole;

use super::doorbell::{BlockingDoorbell, Condition, Waiter, doorbell};
use super::lending;
use super::passing;
use super::region::Region;
use super::ring::{Consumer, Label, Producer, link};
use super::sync::{Memory, layout};
use crate::Error;
