// SPDX-License-Identifier: Apache-2.0
// PeerClient: asks one member, over HTTP/1.1 on the port where it takes spans. Questions wait for each other; a
// question that waits too long fails.
//
// Threads: all calls and callbacks on the thread that runs the io_context. Destroying it drops what is not answered.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "cluster/config.h"
#include "cluster/message.h"
#include "export/authorization.h"
#include "net/client/host_lookup.h"
#include "net/client/http_client.h"

namespace tailgate {

class PeerClient {
 public:
  // Errors: kUnavailable (no answer, or one other than 200), kBadInput (no message).
  using Answer = std::function<void(Result<ClusterMessage>)>;

  // Errors: kBadInput: the endpoint. `names` outlives the client.
  static Result<std::unique_ptr<PeerClient>> make(boost::asio::io_context& io, HostLookup& names,
                                                  const std::string& endpoint, const ClusterConfig& config);

  void ask(std::string message, Duration timeout, Answer answer);
  bool idle() const { return !busy_; }

 private:
  struct Question {
    std::shared_ptr<const std::string> body;
    TimePoint until{};
    Answer answer;
  };
  PeerClient(boost::asio::io_context& io, HttpUrl url, HttpClientOptions options, HttpHeaders headers,
             Authorization authorization);
  void next();
  Result<ClusterMessage> read(const Result<HttpReply>& reply);

  HttpHeaders headers_;
  Authorization authorization_;
  std::deque<Question> waiting_;
  bool busy_ = false;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace tailgate
