// SPDX-License-Identifier: Apache-2.0
// Door: decides on the requests of one connection before their bodies are taken. Both protocols use it.
//
//   the handler's own checks ─→ whose credentials (Authenticator) ─→ does this client have too much (ClientTable)
//   (path, method, preflight)
//
// Belongs to its session.
#pragma once

#include <string>

#include "net/http/clients.h"
#include "net/http/http.h"

namespace tailgate {

struct SessionContext;

class Door {
 public:
  Door(const SessionContext& context, std::string_view address);

  // The name in the client's certificate is its identity when there are no other credentials.
  void set_certificate_name(std::string name) { certificate_name_ = std::move(name); }

  // Fills in head.identity and head.client. When the answer has `wait`, ask again in a moment.
  Admission admit(RequestHead& head, TimePoint now);

 private:
  std::optional<Refusal> identify(RequestHead& head, Admission& admission);
  std::optional<Refusal> measure(RequestHead& head, TimePoint now);

  const SessionContext& context_;
  const std::string address_;  // client_of_address()
  std::string certificate_name_;
  ClientPtr by_address_;  // found at the first request that needs it
  std::string identity_;  // of the last request
  ClientPtr by_identity_;
  ClientConnection client_connection_;
};

}  // namespace tailgate
