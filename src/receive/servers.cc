// SPDX-License-Identifier: Apache-2.0
#include "receive/servers.h"

#include <algorithm>

namespace tailgate {

Result<void> ReceiverServers::open(const std::string& name, const EndpointConfig& config,
                                   const ReceiverContext& context, ReceiveProtocol protocol) {
  handlers_.push_back(std::make_unique<ReceiveHandler>(config, context, std::move(protocol)));
  ServerOptions options;
  options.name = name;
  options.endpoint = config.endpoint;
  options.socket_mode = config.socket_mode;
  options.limits = config.limits;
  options.budget = context.budget;
  options.tls_connections = context.tls_connections;
  options.tls = config.tls;
  options.auth = config.auth;
  options.config_path = config.config_path;
  options.notice = context.notice;
  auto server = Server::open(*context.threads, std::move(options), *handlers_.back());
  if (!server) return tl::unexpected<Error>(server.error());
  servers_.push_back(std::move(*server));
  return {};
}

std::vector<std::string> ReceiverServers::endpoints() const {
  std::vector<std::string> out;
  for (const auto& server : servers_) out.push_back(server->endpoint());
  return out;
}

void ReceiverServers::drain() {
  for (const auto& handler : handlers_) handler->drain();
  for (const auto& server : servers_) server->drain();
}

void ReceiverServers::stop(Duration grace) {
  const TimePoint deadline = monotonic_now() + grace;
  for (const auto& server : servers_) server->stop(std::max(Duration::zero(), Duration(deadline - monotonic_now())));
}

ReceiverStats ReceiverServers::stats() const {
  ReceiverStats out;
  for (const auto& server : servers_) {
    const ServerStats s = server->stats();
    out.connections += s.connections;
    for (std::size_t i = 0; i < out.closed.size(); ++i) out.closed[i] += s.closed[i];
  }
  return out;
}

}  // namespace tailgate
