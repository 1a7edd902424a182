/** Shipmate for TypeScript: see README.md. */

export { type ConnectOptions, Connector, connect, Listener, type Reconnect, serve } from "./connect.js";
export * from "./errors.js";
export { build, type Fill, type Init } from "./fill.js";
export type { Limits } from "./limits.js";
export type { MessageOptions, SenderOptions } from "./messages/parts.js";
export { type Policy, Publisher, type PublishOptions, Subscriber } from "./messages/publish.js";
export { LentMessage, MessageListener, Receiver } from "./messages/receiver.js";
export { Loan, Sender } from "./messages/sender.js";
export type { Tier } from "./native/library.js";
export { type Call, type CallContext, type CallOptions, type Client, capability, release } from "./rpc/client.js";
export { Connection, type ConnectionOptions } from "./rpc/connection.js";
export type { InterfaceType, Reply } from "./rpc/interface.js";
export { structAt } from "./serial.js";
export type { WaitOptions } from "./wait.js";
