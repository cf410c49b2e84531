//! The loop of both steps between the ballot box and the ledger: it takes deliveries, processes a
//! number of them at a time, and holds those that this node cannot process now.

use std::sync::Arc;

use tokio::task::JoinSet;
use votekit_store::EngineError;

use crate::context::NodeContext;
use crate::validate::held_deliveries::{BatchDelivery, HeldDeliveries, Hindrance, hindrance};

/// A delivery that could not be processed now, and why.
pub(super) type Hindered<D> = Option<(D, Hindrance)>;

/// A step of processing, with its queue of the ballot box.
pub(crate) trait DeliveryStep: 'static {
    /// What the queue delivers.
    type Delivery: BatchDelivery + Send + 'static;

    /// The name in reports of a panic.
    const NAME: &'static str;

    /// Batches that are processed concurrently.
    const IN_FLIGHT_MAX: usize;

    /// Waits for the next delivery of the queue. Cancel safe: dropping the future loses none.
    fn receive(
        context: &NodeContext,
    ) -> impl Future<Output = Result<Self::Delivery, EngineError>> + Send;

    /// Processes a delivery. Returns it if that is not possible now.
    fn process(
        context: &NodeContext,
        delivery: Self::Delivery,
    ) -> impl Future<Output = Result<Hindered<Self::Delivery>, EngineError>> + Send;
}

/// Processes the deliveries of a step as long as the node runs. While an engine is unavailable it
/// waits; nothing is requeued in a loop.
pub(crate) async fn run<S: DeliveryStep>(context: Arc<NodeContext>) {
    let mut in_flight = JoinSet::new();
    let mut held = HeldDeliveries::new();
    loop {
        let room = S::IN_FLIGHT_MAX.saturating_sub(in_flight.len());
        let deliveries = tokio::select! {
            Some(processed) = in_flight.join_next() => {
                match processed {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some((delivery, why)))) => held.add(&context, delivery, why),
                    Ok(Err(error)) => return context.fail(&error),
                    Err(error) => {
                        let fault = format_args!("{} panicked: {error}", S::NAME);
                        return context.fail_by_panic(&fault);
                    }
                }
                continue;
            }
            () = tokio::time::sleep_until(held.next_poll()), if !held.is_empty() => {
                held.poll(&context, room)
            }
            delivery = S::receive(&context), if room > 0 => match delivery {
                Ok(delivery) => vec![delivery],
                Err(error) => return context.fail(&error),
            },
        };
        for delivery in deliveries {
            let law_id = &delivery.batch().header().law_id;
            match hindrance(&context, law_id).filter(|_| !delivery.is_staged()) {
                // Neither refused nor acknowledged: its votes were answered.
                Some(why) => held.add(&context, delivery, why),
                None => {
                    let job = context.job();
                    in_flight.spawn(async move { S::process(&job, delivery).await });
                }
            }
        }
    }
}
