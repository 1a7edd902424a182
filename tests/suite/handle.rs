//! [`Handle`]: one connection for any thread and any runtime.

use shipmate::schema::mailbox_capnp::mailbox;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{ConnectOptions, Error, Handle, Reconnect, Result};

use crate::harness::{Shipmated, Transport, local};

on_every_transport! {
    threads_share_a_handle, tasks_of_a_runtime_share_a_handle, a_dropped_call_is_cancelled,
    a_lost_connection_is_made_again, a_lost_connection_is_reported,
}

const _: () = {
    const fn for_any_thread<T: Send + Sync + Clone + 'static>() {}
    for_any_thread::<Handle>();
};

async fn threads_share_a_handle(transport: Transport) {
    let server = Shipmated::start(transport);
    let address = server.address().clone();
    let share = move || {
        let handle = Handle::connect_blocking(address, ConnectOptions::default(), Reconnect::Never).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let handle = &handle;
                scope.spawn(move || {
                    for n in 0..50 {
                        let payload = vec![thread; n];
                        let expected = payload.clone();
                        assert_eq!(handle.call_blocking(async |front| ping(front, payload).await).unwrap(), expected);
                    }
                });
            }
        });
    };
    std::thread::spawn(share).join().unwrap();
}

async fn tasks_of_a_runtime_share_a_handle(transport: Transport) {
    let server = Shipmated::start(transport);
    let address = server.address().clone();
    let share = async move {
        let handle = Handle::connect(address).await.unwrap();
        let tasks: Vec<_> = (0..50_u8)
            .map(|n| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.call(async move |front| ping(front, vec![n; 100]).await).await })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap().unwrap(), vec![n as u8; 100]);
        }
    };
    let threads = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        runtime.block_on(share);
    };
    std::thread::spawn(threads).join().unwrap();
}

/// If it were not, the record that is posted later would go to the call that was dropped.
async fn a_dropped_call_is_cancelled(transport: Transport) {
    let server = Shipmated::start(transport);
    let handle = Handle::connect(server.address().clone()).await.unwrap();
    let (at_work, started) = tokio::sync::oneshot::channel();
    let mut taking = Box::pin(handle.call(async move |front: front::Client| take_nothing(front, at_work).await));
    tokio::select! {
        _ = &mut taking => panic!("there is nothing to take"),
        started = started => started.unwrap(),
    }
    drop(taking);

    let found = handle.call(async |front: front::Client| {
        let mailbox = open(&front).promise.await?.get()?.get_box()?;
        let mut post = mailbox.post_request();
        post.get().init_record().set_value(5);
        post.send().promise.await?;
        let taken = mailbox.try_take_request().send().promise.await?;
        Ok(taken.get()?.get_found())
    });
    assert!(found.await.unwrap());
}

async fn a_lost_connection_is_made_again(transport: Transport) {
    let mut server = Shipmated::start(transport);
    let options = ConnectOptions::default();
    let handle = Handle::connect_with(server.address().clone(), options, Reconnect::back_off(20)).await.unwrap();
    for n in 0..3 {
        handle.call(async move |front| ping(front, vec![n]).await).await.unwrap();
        let (at_work, started) = tokio::sync::oneshot::channel();
        let in_flight = handle.call(async move |front: front::Client| take_nothing(front, at_work).await);
        let (error, ()) = futures::join!(in_flight, async {
            started.await.unwrap();
            server.kill();
        });
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        server.restart();
    }
    handle.call(async |front| ping(front, vec![]).await).await.unwrap();
}

async fn a_lost_connection_is_reported(transport: Transport) {
    let mut server = Shipmated::start(transport);
    let handle = Handle::connect(server.address().clone()).await.unwrap();
    server.kill();
    server.restart();
    for _ in 0..2 {
        let error = handle.call(async |front| ping(front, vec![]).await).await.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    }
}

#[test]
fn the_last_handle_closes_the_connection() {
    local(async {
        let server = Shipmated::start(crate::harness::unix);
        let handle = Handle::connect(server.address().clone()).await.unwrap();
        let watch = server.connect().await;
        let front: front::Client = watch.bootstrap();
        assert_eq!(connections(&front).await, 2);
        drop(handle.clone());
        assert_eq!(connections(&front).await, 2);
        drop(handle);
        while connections(&front).await == 2 {
            tokio::task::yield_now().await;
        }
    });
}

/// Says when its call, which waits for ever, is at work.
async fn take_nothing(front: front::Client, at_work: tokio::sync::oneshot::Sender<()>) -> Result<()> {
    let taking = open(&front).pipeline.get_box().take_request().send().promise;
    // Answered after the call before it was taken up.
    ping(front, vec![]).await?;
    at_work.send(()).unwrap();
    taking.await?;
    Ok(())
}

async fn connections(front: &front::Client) -> u32 {
    front.info_request().send().promise.await.unwrap().get().unwrap().get_info().unwrap().get_connections()
}

async fn ping(front: front::Client, payload: Vec<u8>) -> Result<Vec<u8>> {
    let mut request = front.ping_request();
    request.get().set_payload(&payload);
    Ok(request.send().promise.await?.get()?.get_payload()?.to_vec())
}

fn open(front: &front::Client) -> capnp::capability::RemotePromise<mailbox::open_results::Owned> {
    let mut get = front.get_request();
    get.get().set_name("mailbox");
    let mailbox = get.send().pipeline.get_service().as_cap();
    let mailbox: mailbox::Client = capnp::capability::FromClientHook::new(mailbox);
    let mut open = mailbox.open_request();
    open.get().set_name("handle");
    open.send()
}
