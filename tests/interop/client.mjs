// A client as the Node.js guide writes it: `@grpc/grpc-js`, with the contract loaded at run time. It makes all four
// calls and their errors over mTLS and prints one line of JSON per check.
//
//   node client.mjs '{"target": "HOST:PORT", "server": "spiffe://…", "proto": PATH, "roots": PATH,
//                     "operator": {"chain": PATH, "key": PATH}, "reader": {"chain": PATH, "key": PATH}}'

import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { rpcStatus } from "./rpc_status.mjs";

const config = JSON.parse(process.argv[2]);

// A call that has no answer by then never gets one.
const TIMEOUT_MS = 20_000;

const { userservice } = grpc.loadPackageDefinition(protoLoader.loadSync(config.proto, { keepCase: true }));

// A workload's certificate names no host but a SPIFFE id, so that is what has to be checked.
function checkServerIdentity(expected) {
  return (_host, certificate) =>
    certificate.subjectaltname === `URI:${expected}`
      ? undefined
      : new Error(`the server is ${certificate.subjectaltname} and not ${expected}`);
}

function connect(credentials) {
  // Every client has its own connection, or one with a certificate would lend it to one without.
  return new userservice.UserService(config.target, credentials, { "grpc.use_local_subchannel_pool": 1 });
}

function mutualTls(identity, server = config.server) {
  const [roots, key, chain] = [config.roots, identity?.key, identity?.chain].map((path) => path && readFileSync(path));
  const verify = { checkServerIdentity: checkServerIdentity(server) };
  return grpc.credentials.createSsl(roots, key, chain, verify);
}

function call(client, method, request) {
  return new Promise((resolve) => {
    client[method](request, { deadline: Date.now() + TIMEOUT_MS }, (error, reply) => {
      resolve(error ? { code: grpc.status[error.code], ...rpcStatus(error.metadata) } : reply);
    });
  });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

// What differs from run to run is printed by its form.
function withoutChance(key, value) {
  if (key === "id" && UUID.test(value)) return "<UUIDv7>";
  if (key === "created_at" && TIME.test(value)) return "<time>";
  return value;
}

function print(check, result) {
  console.log(JSON.stringify({ check, result }, withoutChance));
}

const operator = connect(mutualTls(config.operator));
const reader = connect(mutualTls(config.reader));
const ada = { email: "Ada@Example.com", name: "Ada", password: "correct horse battery" };

const created = await call(operator, "CreateUser", ada);
const { id } = created;
print("CreateUser", created);
print("GetUser", await call(operator, "GetUser", { id }));
print("UpdateUser of the name alone", await call(operator, "UpdateUser", { id, name: "Countess of Lovelace" }));
print("UpdateUser of the e-mail alone", await call(operator, "UpdateUser", { id, email: "ada@lovelace.example" }));

print("CreateUser with a taken e-mail", await call(operator, "CreateUser", { ...ada, email: "ADA@lovelace.example" }));
print("CreateUser with three wrong fields", await call(operator, "CreateUser", { email: "ada", name: "", password: "short" }));
print("UpdateUser with two wrong fields", await call(operator, "UpdateUser", { id: "7", email: "ada" }));
print("GetUser by what is no id", await call(operator, "GetUser", { id: "7" }));

print("GetUser by an identity that may", await call(reader, "GetUser", { id }));
print("DeleteUser by an identity that may not", await call(reader, "DeleteUser", { id }));

print("DeleteUser", await call(operator, "DeleteUser", { id }));
print("GetUser after DeleteUser", await call(operator, "GetUser", { id }));
print("UpdateUser after DeleteUser", await call(operator, "UpdateUser", { id, name: "Ada" }));
print("DeleteUser after DeleteUser", await call(operator, "DeleteUser", { id }));

const strangers = {
  "without a certificate": mutualTls(undefined),
  "without TLS": grpc.credentials.createInsecure(),
  "expecting another server": mutualTls(config.operator, "spiffe://flotilla.internal/service/order-service"),
};
for (const [who, credentials] of Object.entries(strangers)) {
  const stranger = connect(credentials);
  print(`GetUser ${who}`, await call(stranger, "GetUser", { id }));
  stranger.close();
}

operator.close();
reader.close();
