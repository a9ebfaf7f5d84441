// Reads `grpc-status-details-bin`: a `google.rpc.Status` with the details that say which fields are wrong.

import protobuf from "protobufjs";

const { root } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; }
    repeated FieldViolation field_violations = 1;
  }
`);

const Status = root.lookupType("google.rpc.Status");

/** The reason and the wrong fields that a server tells, or nothing where no server has spoken. */
export function rpcStatus(metadata) {
  const [encoded] = metadata?.get("grpc-status-details-bin") ?? [];
  if (encoded === undefined) return {};
  const told = {};
  for (const { typeUrl, value } of Status.decode(encoded).details) {
    const name = typeUrl.split("/").at(-1);
    const detail = root.lookupType(name).decode(value);
    if (name === "google.rpc.ErrorInfo") told.reason = detail.reason;
    if (name === "google.rpc.BadRequest") {
      told.fields = Object.fromEntries(detail.fieldViolations.map(({ field, description }) => [field, description]));
    }
  }
  return told;
}
