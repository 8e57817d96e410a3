// SPDX-License-Identifier: Apache-2.0
// TLS for servers: contexts from files that may change, and a filter between a connection's socket and its session.
//
// The connections of a server share one TlsContext. It looks at its files when asked, and makes a new SSL_CTX when they
// have changed; open connections keep the one they began with. When a change does not load, the old context stays and
// the failure is reported once. OpenSSL (Debian's 3.0): TLS 1.2 at least, ALPN h2 and http/1.1. Threads: any for
// TlsContext; TlsFilter belongs to its connection's thread.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "net/file_look.h"

namespace tailgate {

class ConfigNode;

struct TlsOptions {
  std::string cert_file, key_file;  // PEM; the certificate with its chain
  std::string client_ca_file;       // set: clients must show a certificate signed by one of these
  std::vector<std::string>
      client_sans;  // of them, one subject alternative name (DNS, URI, mail, IP) must be listed; empty: any
  int min_version = TLS1_2_VERSION;
  int max_version = 0;        // 0: the newest
  std::string cipher_suites;  // TLS 1.2 ones, OpenSSL's names separated by ':'; "" for the default
  Duration reload_interval = std::chrono::seconds(10);
};

// Reads a receiver's `tls:` map (the Collector's keys; docs/receivers.md). Empty when there is none.
std::optional<TlsOptions> read_server_tls(const ConfigNode& node);

class TlsContext {
 public:
  using Notice = std::function<void(std::string_view text)>;

  // Errors: kIo when a file cannot be read, kConfig when its content is wrong.
  static Result<std::shared_ptr<TlsContext>> load(const TlsOptions& options, Notice notice);

  std::shared_ptr<SSL_CTX> context() const;
  const TlsOptions& options() const { return options_; }
  // Looks at the files if reload_interval has passed since the last look. Cheap.
  void refresh(TimePoint now);

 private:
  TlsContext(const TlsOptions& options, Notice notice)
      : options_(options),
        notice_(std::move(notice)),
        look_({options.cert_file, options.key_file, options.client_ca_file}, options.reload_interval) {}

  Result<void> read();

  const TlsOptions options_;
  const Notice notice_;
  FileLook look_;
  mutable Mutex mutex_;
  std::shared_ptr<SSL_CTX> context_ TAILGATE_GUARDED_BY(mutex_);
};

// The resident memory of one TLS connection: 15 KiB in OpenSSL (3.0, TLS 1.3), an incomplete record of at most 18 KiB,
// and free memory between them that the handshake left (docs/measured/hostile-input.md).
inline constexpr std::size_t kTlsStateBytes = 40 << 10;

// What a client may send before its handshake is done. OpenSSL would accept a ClientHello of 128 KiB, and as much again
// of certificates.
inline constexpr std::size_t kTlsHandshakeMax = 32 << 10;

// One connection: bytes of the socket in, bytes of the protocol out, and back. Does no I/O. OpenSSL gets only whole
// records (RFC 8446 section 5.1), because it would keep room for the largest record from the first byte on. The SSL
// object is made when the first record is whole.
class TlsFilter {
 public:
  explicit TlsFilter(const TlsContext& context);  // which must outlive it
  ~TlsFilter();
  TlsFilter(const TlsFilter&) = delete;
  TlsFilter& operator=(const TlsFilter&) = delete;

  // Takes bytes from the socket and appends the decrypted bytes to `plain`. Returns false when the handshake failed or
  // the peer broke the protocol; the caller sends what take_encrypted() gives (an alert) and closes.
  bool decrypt(ByteView bytes, std::string& plain);
  // Takes bytes for the peer. They wait until the handshake is done.
  bool encrypt(ByteView plain);
  // Appends bytes for the socket.
  void take_encrypted(std::string& out);
  // The peer sent close_notify; no more bytes will come.
  bool peer_done() const { return peer_done_; }
  bool established() const { return established_; }
  // Once established: a name in the client's certificate, empty without one.
  const std::string& peer_name() const { return peer_name_; }
  void close_notify();

 private:
  friend struct FilterBio;
  void make_ssl();
  bool take_records(ByteView records, std::string& plain);
  bool advance();
  bool read_all(std::string& plain);

  std::shared_ptr<SSL_CTX> context_;
  SSL* ssl_ = nullptr;
  std::string part_;  // of a record that is not whole
  ByteView in_;       // whole records that OpenSSL has not read yet
  std::string out_;   // bytes for the socket
  const std::vector<std::string>& sans_;
  std::string peer_name_;
  std::string waiting_;              // plain bytes before the handshake is done
  std::size_t handshake_bytes_ = 0;  // taken before that
  bool established_ = false;
  bool peer_done_ = false;
};

}  // namespace tailgate
