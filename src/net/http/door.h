// Door: what is asked of a connection's requests before their bodies are taken. One place for both protocols.
//
//   the handler's own checks ─→ whose credentials (Authenticator) ─→ has this client too much already (ClientTable)
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

  // The name in the client's certificate: its identity where there are no other credentials.
  void set_certificate_name(std::string name) { certificate_name_ = std::move(name); }

  // Fills in head.identity and head.client. `wait` in the answer: ask again in a moment.
  Admission admit(RequestHead& head, TimePoint now);

 private:
  std::optional<Refusal> identify(RequestHead& head, bool& wait);
  std::optional<Refusal> measure(RequestHead& head, TimePoint now);

  const SessionContext& context_;
  const std::string address_;  // as clients are told apart by it
  std::string certificate_name_;
  ClientPtr by_address_;  // found when first wanted
  std::string identity_;  // of the last request
  ClientPtr by_identity_;
  ClientSeat seat_;
};

}  // namespace tailgate
