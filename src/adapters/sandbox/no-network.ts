import dgram from "node:dgram";
import dns from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";

/**
 * Takes the network away from this process, for good. Node 24's permission model does not cover it: what is left in
 * JavaScript are a few functions that all connections, servers, datagrams and look-ups go through; HTTP, TLS and `fetch`
 * are made of them.
 */
export function forbidNetwork(): void {
  const refuse = () => {
    throw new Error("An extractor has no network.");
  };
  const forbidden: readonly (readonly [object, readonly string[]])[] = [
    [net.Socket.prototype, ["connect"]],
    [net.Server.prototype, ["listen"]],
    [dgram.Socket.prototype, ["bind", "connect", "send"]],
    [dgram, ["createSocket"]],
    [dns, Object.keys(dns).filter((name) => /^(lookup|resolve|reverse)/.test(name))],
    [dns.promises, Object.keys(dns.promises).filter((name) => /^(lookup|resolve|reverse)/.test(name))],
    [dns.Resolver.prototype, ["resolve", "resolve4", "resolve6", "resolveAny", "reverse"]],
    [dns.promises.Resolver.prototype, ["resolve", "resolve4", "resolve6", "resolveAny", "reverse"]],
  ];
  for (const [owner, names] of forbidden)
    for (const name of names)
      Object.defineProperty(owner, name, { value: refuse, writable: false, configurable: false });
  syncBuiltinESMExports();
}
