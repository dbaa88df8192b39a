//! The transport between two processes on a host: the same messages over a Unix socket.
//!
//! Each side is the in-process channel with a task that moves frames between it and the socket,
//! so the bound in bytes and the order are the channel's.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use bytes::BytesMut;
use lastline_line::Message;
use lastline_line::wire::{Frame, decode, encode_control, encode_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::channel::{ChannelInbox, ChannelTransport, Controls, Messages, channel};
use crate::transport::{Closed, Transport};

/// Room that reading from a socket starts with, in bytes.
const READ_BYTES: usize = 64 << 10;

/// A transport over a connected socket; at most `limit_bytes` wait for the socket. Must be called
/// on a tokio runtime.
///
/// What it took counts as stored when the peer says so. When the peer closes the socket or dies,
/// the transport says that its far side is gone.
pub fn transport(socket: UnixStream, limit_bytes: usize) -> ChannelTransport {
    let (transport, inbox) = channel(limit_bytes);
    let (read, write) = socket.into_split();
    let (mut messages, controls, _events) = inbox.split();
    tokio::spawn(async move {
        let mut heard = pin!(hear_all(read, controls));
        let ended = tokio::select! {
            // The peer is gone: dropping the inbox closes the transport.
            ended = &mut heard => ended,
            sent = send_all(write, &mut messages) => match sent {
                Ok(()) => Ok(()),
                // What it said before it went is still there to be heard; `messages` stays open
                // until then, so that the transport does not end before that.
                Err(error) => heard.await.and(Err(error)),
            },
        };
        tracing::debug!(?ended, "the socket of the transport is done with");
    });
    transport.stored_when_acknowledged()
}

async fn send_all(mut write: OwnedWriteHalf, messages: &mut Messages) -> io::Result<()> {
    let mut out = BytesMut::new();
    while let Some(message) = messages.recv().await {
        encode_message(&message, &mut out);
        write.write_all_buf(&mut out).await?;
    }
    Ok(())
}

async fn hear_all(mut read: OwnedReadHalf, controls: Controls) -> io::Result<()> {
    let mut heard = BytesMut::new();
    while read.read_buf(&mut heard).await? > 0 {
        while let Some(frame) = decode(&mut heard).map_err(io::Error::other)? {
            if let Frame::Control(control) = frame {
                controls.say(control);
            }
        }
    }
    Ok(())
}

/// Receives the messages of a connected socket; at most `limit_bytes` wait for the client. Must
/// be called on a tokio runtime. The inbox closes when the peer does.
pub fn inbox(socket: UnixStream, limit_bytes: usize) -> ChannelInbox {
    let (transport, inbox) = channel(limit_bytes);
    tokio::spawn(async move {
        let ended = serve(socket, transport).await;
        tracing::debug!(?ended, "the socket of the inbox is done with");
    });
    inbox
}

/// Hands the messages of a connected socket to `transport`, so that several peers may share an
/// inbox, and what its client says to the peer. Ends when the peer has closed the socket and all
/// that it sent is handed on, or with the client.
///
/// # Errors
///
/// When the socket fails, the peer sends what is no frame, or the client is gone.
pub async fn serve(socket: UnixStream, transport: ChannelTransport) -> io::Result<()> {
    let (read, write) = socket.into_split();
    tokio::select! {
        ended = receive_all(read, transport.clone()) => ended,
        Closed = reply_all(write, transport) => Err(io::Error::other(Closed)),
    }
}

async fn receive_all(mut read: OwnedReadHalf, mut messages: ChannelTransport) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    while read.read_buf(&mut input).await? > 0 {
        while let Some(frame) = decode(&mut input).map_err(io::Error::other)? {
            if let Frame::Message(message) = frame {
                send(&mut messages, message).await.map_err(io::Error::other)?;
            }
        }
    }
    Ok(())
}

/// Ends with the client. A peer that no longer listens may still have something to say, so that is
/// no reason to end.
async fn reply_all(mut write: OwnedWriteHalf, mut controls: ChannelTransport) -> Closed {
    let (mut out, mut listens) = (BytesMut::new(), true);
    loop {
        let control = match poll_fn(|context| controls.poll_control(context)).await {
            Ok(control) => control,
            Err(closed) => return closed,
        };
        if listens {
            encode_control(&control, &mut out);
            listens = write.write_all_buf(&mut out).await.is_ok();
        }
    }
}

/// Sends one message, waiting for room.
pub async fn send(transport: &mut impl Transport, message: Message) -> Result<(), Closed> {
    let mut message = message;
    loop {
        match transport.try_send(message) {
            Ok(()) => return Ok(()),
            Err(refused) => message = refused.message,
        }
        poll_fn(|context| transport.poll_ready(context)).await?;
    }
}
