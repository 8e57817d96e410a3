// SPDX-License-Identifier: Apache-2.0
#include "net/tls/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/invariant.h"
#include "base/kept_memory.h"
#include "net/file_look.h"

namespace tailgate {
namespace {

constexpr std::size_t kOutKept = 4 << 10;
// RFC 5246 6.2.3: a header of five bytes, and what it may announce at most.
constexpr std::size_t kRecordHeader = 5, kRecordMax = (16 << 10) + 2048;
constexpr unsigned char kProtocols[] = "\x02h2\x08http/1.1";

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  char text[256] = "unknown error";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  return text;
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                    void*) {
  unsigned char* chosen = nullptr;
  const int got = SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof kProtocols - 1, in, in_size);
  if (got != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 3.2: no_application_protocol
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<SSL_CTX>> make_context(const TlsOptions& options) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  INVARIANT(context != nullptr);
  SSL_CTX* const c = context.get();
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(c, options.min_version);
  if (options.max_version != 0) SSL_CTX_set_max_proto_version(c, options.max_version);
  // No renegotiation: in TLS 1.2 a client can make the server do the costly part again and again.
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(c, kTlsHandshakeMax);
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(c, reinterpret_cast<const unsigned char*>("tailgate"), 8);
  if (!options.cipher_suites.empty() && SSL_CTX_set_cipher_list(c, options.cipher_suites.c_str()) != 1) {
    return fail(ErrorKind::kConfig, fmt::format("cipher_suites '{}': {}", options.cipher_suites, openssl_error()));
  }
  if (SSL_CTX_use_certificate_chain_file(c, options.cert_file.c_str()) != 1) {
    return fail(ErrorKind::kConfig,
                fmt::format("cannot use the certificate in {}: {}", options.cert_file, openssl_error()));
  }
  if (SSL_CTX_use_PrivateKey_file(c, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorKind::kConfig, fmt::format("cannot use the key in {}: {}", options.key_file, openssl_error()));
  }
  if (!options.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_file(c, options.client_ca_file.c_str()) != 1) {
      return fail(ErrorKind::kConfig,
                  fmt::format("cannot use the certificates in {}: {}", options.client_ca_file, openssl_error()));
    }
    SSL_CTX_set_client_CA_list(c, SSL_load_client_CA_file(options.client_ca_file.c_str()));
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // A resumed session brings the certificate of its first handshake unchecked and gets a new ticket each time, so a
    // certificate that has expired since would be good for ever.
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c, 0);
  }
  return context;
}

// The size of the record that begins here, with its header; 0 when the header is not whole, empty when it is not a TLS
// record. (A ClientHello in SSL 2.0's form is not one: RFC 8446 D.5 advises against it.)
std::optional<std::size_t> record_size(ByteView bytes) {
  const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.empty()) return 0;
  if (at(0) < SSL3_RT_CHANGE_CIPHER_SPEC || at(0) > SSL3_RT_APPLICATION_DATA) return std::nullopt;
  if (bytes.size() > 1 && at(1) != SSL3_VERSION_MAJOR) return std::nullopt;
  if (bytes.size() < kRecordHeader) return 0;
  const std::size_t size = at(3) * 256u + at(4);
  if (size > kRecordMax) return std::nullopt;
  return kRecordHeader + size;
}

void to_lower(std::string& text, std::size_t from) {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (text[i] >= 'A' && text[i] <= 'Z') text[i] = static_cast<char>(text[i] | 0x20);
  }
}

// The case of host names does not matter (RFC 4343), also in a mail address, where it matters in front of the @.
std::string same_case(std::string name) {
  if (name.find(':') != std::string::npos) return name;  // a URI or an IPv6 address
  const std::size_t at = name.rfind('@');
  to_lower(name, at == std::string::npos ? 0 : at + 1);
  return name;
}

std::string name_text(const GENERAL_NAME& name) {
  int type = 0;
  const void* const value = GENERAL_NAME_get0_value(&name, &type);
  if (type == GEN_DNS || type == GEN_URI || type == GEN_EMAIL) {
    const auto* const asn1 = static_cast<const ASN1_STRING*>(value);
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(asn1)),
                     static_cast<std::size_t>(ASN1_STRING_length(asn1)));
    return type == GEN_URI ? text : same_case(std::move(text));
  }
  if (type == GEN_IPADD) {
    const auto* const bytes = static_cast<const ASN1_STRING*>(value);
    char text[INET6_ADDRSTRLEN] = "";
    const int size = ASN1_STRING_length(bytes);
    if (size == 4 || size == 16)
      inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
    return text;
  }
  return {};
}

// The names in the peer's certificate, which has been verified by then; none when it has shown none.
std::vector<std::string> peer_names(const SSL* ssl) {
  std::vector<std::string> out;
  X509* const certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == nullptr) return out;
  auto* const names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    std::string name = name_text(*sk_GENERAL_NAME_value(names, i));
    if (!name.empty()) out.push_back(std::move(name));
  }
  GENERAL_NAMES_free(names);
  X509_free(certificate);
  return out;
}

}  // namespace

// OpenSSL reads from the filter's view and writes to its string. (A memory BIO copies what it is given and keeps the
// room for good, some 40 KiB a connection.)
struct FilterBio {
  static int read(BIO* bio, char* to, std::size_t size, std::size_t* taken) {
    ByteView& in = static_cast<TlsFilter*>(BIO_get_data(bio))->in_;
    BIO_clear_retry_flags(bio);
    if (in.empty()) {
      BIO_set_retry_read(bio);
      return 0;
    }
    *taken = std::min(size, in.size());
    std::memcpy(to, in.data(), *taken);
    in.remove_prefix(*taken);
    return 1;
  }
  static int write(BIO* bio, const char* from, std::size_t size, std::size_t* taken) {
    static_cast<TlsFilter*>(BIO_get_data(bio))->out_.append(from, size);
    *taken = size;
    return 1;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO* make(TlsFilter* filter) {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* const m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tailgate");
      INVARIANT(m != nullptr);
      BIO_meth_set_read_ex(m, read);
      BIO_meth_set_write_ex(m, write);
      BIO_meth_set_ctrl(m, control);
      return m;
    }();
    BIO* const bio = BIO_new(method);
    if (bio == nullptr) throw std::bad_alloc();
    BIO_set_data(bio, filter);
    BIO_set_init(bio, 1);
    return bio;
  }
};

Result<std::shared_ptr<TlsContext>> TlsContext::load(const TlsOptions& options, Notice notice) {
  std::shared_ptr<TlsContext> out(new TlsContext(options, std::move(notice)));
  if (const Result<void> read = out->look_.start([&] { return out->read(); }); !read) {
    return tl::unexpected(read.error());
  }
  return out;
}

std::shared_ptr<SSL_CTX> TlsContext::context() const {
  const MutexLock lock(mutex_);
  return context_;
}

Result<void> TlsContext::read() {
  Result<std::shared_ptr<SSL_CTX>> context = make_context(options_);
  if (!context) return tl::unexpected(context.error());
  const MutexLock lock(mutex_);
  context_ = std::move(*context);
  return {};
}

void TlsContext::refresh(TimePoint now) {
  const auto news = look_.refresh(now, [this] { return read(); });
  if (!news || !notice_) return;
  if (*news) {
    notice_(fmt::format("TLS files loaded again: {}", options_.cert_file));
  } else {
    notice_(fmt::format("the changed TLS files are not used, the ones before stay in force: {}", news->error().text));
  }
}

TlsFilter::TlsFilter(const TlsContext& context) : context_(context.context()), sans_(context.options().client_sans) {}

void TlsFilter::make_ssl() {
  BIO* const bio = FilterBio::make(this);
  ssl_ = SSL_new(context_.get());
  if (ssl_ == nullptr) {
    BIO_free(bio);
    throw std::bad_alloc();
  }
  SSL_set_bio(ssl_, bio, bio);  // both ways; owned by ssl_
  SSL_set_accept_state(ssl_);
}

TlsFilter::~TlsFilter() { SSL_free(ssl_); }

bool TlsFilter::advance() {
  if (established_) return true;
  ERR_clear_error();
  const std::size_t before = in_.size();
  const int done = SSL_do_handshake(ssl_);
  handshake_bytes_ += before - in_.size();
  if (done != 1) return SSL_get_error(ssl_, done) == SSL_ERROR_WANT_READ && handshake_bytes_ <= kTlsHandshakeMax;
  established_ = true;
  // The first that is listed, or the first of all, is who the client is.
  for (const std::string& name : peer_names(ssl_)) {
    const auto is_it = [&](const std::string& listed) { return same_case(listed) == name; };
    if (!sans_.empty() && std::none_of(sans_.begin(), sans_.end(), is_it)) continue;
    peer_name_ = name;
    break;
  }
  if (!sans_.empty() && peer_name_.empty()) return false;
  const std::string waiting = std::move(waiting_);
  waiting_.clear();
  return encrypt(waiting);
}

bool TlsFilter::decrypt(ByteView bytes, std::string& plain) {
  std::optional<std::size_t> size = 0;
  if (!part_.empty()) {
    while ((size = record_size(part_)) && *size != part_.size()) {
      const std::size_t n = std::min(std::max(*size, kRecordHeader) - part_.size(), bytes.size());
      if (n == 0) return true;
      if (*size != 0) part_.reserve(*size);
      part_.append(bytes.substr(0, n));
      bytes.remove_prefix(n);
    }
    if (!take_records(std::exchange(part_, {}), plain) || !size) return false;
  }
  std::size_t whole = 0;
  while ((size = record_size(bytes.substr(whole))) && *size != 0 && *size <= bytes.size() - whole) whole += *size;
  if (!size) whole = bytes.size();  // OpenSSL has the alert for it
  if (whole != 0 && !take_records(bytes.substr(0, whole), plain)) return false;
  part_.assign(bytes.substr(whole));
  return size.has_value();
}

bool TlsFilter::take_records(ByteView records, std::string& plain) {
  if (ssl_ == nullptr) make_ssl();
  in_ = records;
  const bool good = read_all(plain);
  in_ = {};
  return good;
}

bool TlsFilter::read_all(std::string& plain) {
  if (!advance()) return false;
  while (established_) {
    char buffer[16 << 10];
    ERR_clear_error();
    const int got = SSL_read(ssl_, buffer, sizeof buffer);
    if (got > 0) {
      plain.append(buffer, static_cast<std::size_t>(got));
      continue;
    }
    const int error = SSL_get_error(ssl_, got);
    if (error == SSL_ERROR_ZERO_RETURN) peer_done_ = true;
    return error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_WANT_READ;
  }
  return true;
}

bool TlsFilter::encrypt(ByteView plain) {
  if (!established_) {
    waiting_.append(plain);
    return true;
  }
  while (!plain.empty()) {
    const std::size_t n = std::min<std::size_t>(plain.size(), 1 << 20);
    ERR_clear_error();
    const int put = SSL_write(ssl_, plain.data(), static_cast<int>(n));
    if (put <= 0) return false;  // the filter takes everything
    plain.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

void TlsFilter::take_encrypted(std::string& out) {
  if (out.empty()) {
    out.swap(out_);
  } else {
    out += out_;
    out_.clear();
  }
  limit_memory(out_, kOutKept);
}

void TlsFilter::close_notify() {
  if (established_) SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace tailgate
