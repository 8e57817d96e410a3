// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 on Beast's parser. The session takes one request at a time; pipelined ones wait in `in_` until the answer
// before them is sent.
//
// Against request smuggling (RFC 9112 section 6.3), Content-Length together with Transfer-Encoding, codings other than
// "chunked", and Transfer-Encoding in HTTP/1.0 get 400, and the connection is closed. Every request that does not parse
// closes it.
#include <fmt/format.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>

#include "base/kept_memory.h"
#include "net/http/door.h"
#include "net/http/http1_parser.h"
#include "net/http/incoming_request.h"
#include "net/http/later_answer.h"
#include "net/http/sender_pace.h"
#include "net/http/session.h"

namespace tailgate {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

constexpr std::size_t kInFree = 1 << 10;      // so many bytes of waiting input are not counted
constexpr std::size_t kEmptyLinesMax = 8;     // before a request
constexpr std::size_t kLastChunkSizeMin = 5;  // "0 CR LF CR LF"

constexpr ByteView kTlsRecord = "\x16\x03";  // a handshake
constexpr const char* kBadLineEnd = "a line does not end with CR and LF";
constexpr const char* kChunksTooLarge = "the heads of the chunks, or the trailers, are too large";

// Says whether the lines of an incomplete head, of which the first `checked` bytes are known to be good, have an LF
// without a CR or the reverse. Beast looks for CR LF only, and would wait for one.
bool has_bad_line_end(ByteView head, std::size_t checked) {
  for (std::size_t i = checked; i < head.size(); ++i) {
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) return true;
    if (head[i] == '\r' && i + 1 < head.size() && head[i + 1] != '\n') return true;
  }
  return false;
}

class Http1Session final : public Session {
 public:
  Http1Session(const SessionContext& context, std::string remote, TimePoint now)
      : context_(context), door_(context, remote), since_(now), request_(context) {
    head_.remote = std::move(remote);
  }

  void feed(ByteView bytes, TimePoint now) override {
    now_ = now;
    if (closing()) return;
    if (bytes.empty() && waiting()) return;
    if (in_.empty()) {
      bytes.remove_prefix(run(bytes));
      if (!closing()) in_.assign(bytes);
    } else {
      in_.append(bytes);
      in_at_ += run(ByteView(in_).substr(in_at_));
      // Copied when half of it is used, so that each byte moves twice at most and the memory is not kept.
      if (in_at_ >= in_.size() / 2) {
        std::string(in_, in_at_).swap(in_);
        in_at_ = 0;
      }
    }
    // In a body, the parser waits only for the rest of a chunk's head or of the trailers.
    if (state_ == State::kBody && !closing() && !waiting() && out_.size() < kOutputHigh &&
        in_.size() - in_at_ > context_.limits.header_bytes) {
      free_memory(in_);
      in_at_ = 0;
      release_input();
      return break_off(kChunksTooLarge);
    }
    // Requests that wait behind unread answers count as held bodies.
    if (!closing() && !hold_input()) {
      free_memory(in_);
      in_at_ = 0;
      release_input();
      // While a request waits for its password, the input is its body or further requests. That is not the peer's
      // fault.
      if (waiting()) return respond_and_close(context_.handler.refuse(head_, RefuseWhy::kNoMemory));
      return close(CloseWhy::kSlowReader);
    }
    if (state_ != State::kBody || closing()) return;
    if (const auto refusal = request_.hold(now_)) respond_and_close(context_.handler.refuse(head_, *refusal));
  }

  void take_output(std::string& out) override {
    if (later_) go_on_later();
    if (out.empty()) {
      out.swap(out_);
    } else {
      out += out_;
      out_.clear();
    }
    limit_memory(out_, kBufferKept);
  }

  void tick(TimePoint now) override {
    now_ = now;
    if (closing()) return;
    if (waiting()) {
      admit();
      if (waiting() && !request_.waited_too_long(now)) return;
      if (waiting()) {
        Response busy = context_.handler.refuse(head_, RefuseWhy::kAuthBusy);
        busy.close = !parser_->is_done();
        respond(busy);
      } else if (parser_ && parser_->is_done()) {
        on_complete();  // it has no body
      }
    }
    if (closing() || later_) return;
    if (state_ == State::kBody) {
      request_.trim();
      if (!request_.slow(now)) return;
      refuse_request(408, RefuseWhy::kSlowBody, "the body came too slowly");
      close(CloseWhy::kSlowBody);
    } else if (parser_) {
      if (now - since_ < context_.limits.header_timeout) return;
      refuse_request(408, RefuseWhy::kSlowHeaders, "the headers came too slowly");
      close(CloseWhy::kHeaderTimeout);
    } else if (served_ > 0 ? now - since_ >= context_.limits.idle_timeout
                           : now - since_ >= context_.limits.header_timeout) {
      close(served_ > 0 ? CloseWhy::kIdle : CloseWhy::kHeaderTimeout);
    }
  }

  void drain() override {
    draining_ = true;
    if (!parser_ && in_.empty()) close();
  }

  void set_certificate_name(std::string name) override { door_.set_certificate_name(std::move(name)); }
  bool waiting() const override { return request_.waiting(); }

  bool served() const override { return served_ > 0; }
  bool receiving_headers() const override { return parser_ && state_ == State::kHeaders; }
  bool idle() const override { return !parser_ && in_.empty() && out_.empty(); }

 private:
  enum class State { kHeaders, kBody, kAnswer };  // kAnswer: later_ is set

  // Counts the input that waits, for its client and the endpoint. Returns false when one of them has no room.
  bool hold_input() {
    if (in_.capacity() <= kInFree) {
      release_input();
      return true;
    }
    if (!input_counts_) input_share_.begin(head_.client, 0);
    input_counts_ = true;
    return input_share_.hold_memory(in_.capacity()) &&
           (context_.held == nullptr || input_held_.hold(*context_.held, in_.capacity()));
  }
  void release_input() {
    input_share_.release();
    input_held_.release();
    input_counts_ = false;
  }

  // Parses `data` and returns how much of it is used.
  std::size_t run(ByteView data) {
    std::size_t done = 0;
    while (!closing() && !waiting() && !later_ && out_.size() < kOutputHigh) {
      ByteView rest = data.substr(done);
      if (!parser_) {
        if (!skip_empty_lines(rest, done)) break;
        begin_request();
      }
      if (rest.empty()) break;
      // Beast 1.81 asserts that it sees at least 5 bytes of a last chunk, although input may be split anywhere, so the
      // session waits for them.
      const bool in_chunks = state_ == State::kBody && parser_->chunked();
      if (in_chunks && rest.size() < kLastChunkSizeMin) {
        // Behind the line of the chunk's head there may be content.
        const std::size_t line = rest.find("\r\n", rest.starts_with("\r\n") ? 2 : 0);
        if (!check_line_ends(rest.substr(0, line))) break_off(kBadLineEnd);
        break;
      }
      const std::size_t content = request_.body().size();
      error_code ec;
      const std::size_t n = parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), ec);
      done += n;
      if (n != 0) line_ends_checked_ = 0;
      if (state_ == State::kBody) request_.arrived(n);
      if (ec && ec != http::error::need_more) {
        on_parse_error(ec, rest);
        break;
      }
      if (in_chunks && !parser_->count_framing(n - (request_.body().size() - content))) {
        break_off(kChunksTooLarge);
        break;
      }
      if (state_ == State::kHeaders && parser_->is_header_done()) on_headers();
      if (closing() || waiting()) break;
      if (parser_ && parser_->is_done()) {
        on_complete();
      } else if (ec == http::error::need_more && n == 0) {
        if (!check_line_ends(rest)) break_off(kBadLineEnd);
        break;
      }
    }
    return closing() ? data.size() : done;
  }

  // Before a request, where some clients send one (RFC 9112 section 2.2). Returns false when no request follows yet.
  bool skip_empty_lines(ByteView& rest, std::size_t& done) {
    while (!rest.empty() && (rest.front() == '\r' || rest.front() == '\n')) {
      if (rest == "\r") return false;
      const bool is_line_end = rest.starts_with("\r\n");
      if (!is_line_end || ++empty_lines_ > kEmptyLinesMax) {
        head_.clear();
        break_off(is_line_end ? "too many empty lines before a request" : kBadLineEnd);
        return false;
      }
      rest.remove_prefix(2);
      done += 2;
    }
    return !rest.empty();
  }

  // Of a head that is not complete: of a request, or of a chunk.
  bool check_line_ends(ByteView head) {
    if (state_ == State::kBody && request_.body().size() != parser_->chunk_bytes()) return true;  // it is content
    if (has_bad_line_end(head, line_ends_checked_)) return false;
    line_ends_checked_ = head.ends_with('\r') ? head.size() - 1 : head.size();
    return true;
  }

  void begin_request() {
    parser_.emplace(context_, context_.limits.header_bytes);
    parser_->header_limit(static_cast<std::uint32_t>(context_.limits.header_bytes));
    parser_->body_limit(boost::none);  // the request counts
    parser_->get().body().request = &request_;
    state_ = State::kHeaders;
    since_ = now_;
    empty_lines_ = line_ends_checked_ = 0;
    head_.clear();
  }

  void on_parse_error(const error_code& ec, ByteView rest) {
    if (ec == http::error::body_limit && parser_->get().body().error) {
      respond_and_close(context_.handler.refuse(head_, *parser_->get().body().error));
      return;
    }
    if (parser_->out_of_memory()) return respond_and_close(context_.handler.refuse(head_, RefuseWhy::kNoMemory));
    if (ec == http::error::header_limit) {
      refuse_request(431, RefuseWhy::kHeaders, "the headers are too large");
      close(CloseWhy::kHeaders);
      return;
    }
    if (state_ == State::kHeaders && has_bad_line_end(rest.substr(0, rest.find("\r\n\r\n")), 0)) {
      return break_off(kBadLineEnd);
    }
    const char* const hint =
        rest.starts_with(kTlsRecord) ? "; it looks like TLS, which this endpoint does not have" : "";
    refuse_request(ec == http::error::bad_version ? 505 : 400, RefuseWhy::kProtocol,
                   "the request does not parse: " + ec.message() + hint);
    close(CloseWhy::kProtocol);
  }

  void on_headers() {
    const auto& message = parser_->get();
    head_.method.assign(message.method_string().data(), message.method_string().size());
    head_.target = origin_form({message.target().data(), message.target().size()});
    for (const auto& field : message) {
      head_.headers.add({field.name_string().data(), field.name_string().size()},
                        {field.value().data(), field.value().size()});
    }
    if (const auto length = parser_->content_length()) head_.content_length = *length;
    const unsigned version = message.version();
    parser_->get().clear();  // head_ has them

    if (const char* wrong = against_the_rules(version)) return break_off(wrong);
    admit();
  }

  void admit() {
    Admission admission = door_.admit(head_, now_);
    if (admission.wait) return request_.admit(head_, admission, now_);
    if (!admission.refusal) {
      if (head_.content_length && *head_.content_length > request_.body_max_of(admission)) {
        admission.refusal = context_.handler.refuse(head_, RefuseWhy::kTooLarge);
      } else if (const auto expect = head_.headers.find("expect"); expect && parser_->get().version() >= 11) {
        if (!boost::beast::iequals({expect->data(), expect->size()}, "100-continue")) {
          refuse_request(417, RefuseWhy::kProtocol, "only 100-continue can be expected");
          return close(CloseWhy::kProtocol);
        } else if (!parser_->is_done()) {
          out_ += "HTTP/1.1 100 Continue\r\n\r\n";
        }
      }
    }
    if (admission.refusal) {
      if (!parser_->is_done()) return respond_and_close(std::move(*admission.refusal));
      return respond(*admission.refusal);
    }
    request_.admit(head_, admission, now_);
    request_.start(now_);
    state_ = State::kBody;
  }

  const char* against_the_rules(unsigned version) const {
    if (const auto coding = head_.headers.find("transfer-encoding")) {
      if (head_.headers.find("content-length")) return "Content-Length beside Transfer-Encoding";
      if (version < 11) return "Transfer-Encoding in HTTP/1.0";
      if (head_.headers.count("transfer-encoding") != 1 ||
          !boost::beast::iequals({coding->data(), coding->size()}, "chunked")) {
        return "the only Transfer-Encoding taken is chunked";
      }
    }
    if (head_.headers.count("content-length") > 1) return "more than one Content-Length";
    const auto hosts = head_.headers.count("host");
    if (hosts > 1 || (hosts == 0 && version >= 11)) return "exactly one Host is wanted";
    return nullptr;
  }

  void on_complete() {
    if (state_ != State::kBody) return;  // refused already
    request_.complete(now_);
    head_.answer_by = pace_.came(true, now_);
    Response response;
    try {
      context_.handler.handle(head_, request_.body(), response);
    } catch (const std::exception&) {
      response = refuse_failed(context_.handler, head_);
    }
    if (response.later == nullptr) return respond(response);
    later_ = LaterHold(std::move(response.later));
    later_begun_ = false;
    state_ = State::kAnswer;
    request_.end();
    later_->attach(waker());
  }

  // Takes what there is of the answer that another thread makes.
  void go_on_later() {
    if (!later_begun_) {
      std::optional<LaterAnswer::Head> head = later_->take_head();
      if (!head) return;
      if (head->whole) {
        later_.reset();
        return respond(head->response);
      }
      later_begun_ = true;
      begin_chunks(head->response);
    }
    const bool head_only = head_.method == "HEAD";
    std::array<char, kOutputHigh> piece;
    while (out_.size() < kOutputHigh) {
      const LaterAnswer::Piece taken = later_->take(piece.data(), piece.size());
      if (taken.size != 0 && !head_only) append_chunk({piece.data(), taken.size});
      if (taken.state == LaterAnswer::State::kMore) {
        if (taken.size == 0) return;
        continue;
      }
      later_.reset();
      if (taken.state == LaterAnswer::State::kFailed) {
        keep_ = false;  // the peer finds out by the missing end
      } else if (chunked_ && !head_only) {
        out_ += "0\r\n\r\n";
      }
      return finish(keep_);
    }
  }

  // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
  void begin_chunks(const Response& response) {
    chunked_ = parser_->get().version() >= 11;
    keep_ = chunked_ && keeps(response);
    append_head(response);
    if (chunked_) out_ += "transfer-encoding: chunked\r\n";
    end_head(keep_);
  }

  void append_chunk(std::string_view bytes) {
    if (chunked_) out_.append(fmt::format("{:x}\r\n", bytes.size()));
    out_ += bytes;
    if (chunked_) out_ += "\r\n";
  }

  // For faults that the handler cannot see: the handler counts them, and the session words the answer.
  void refuse_request(int status, RefuseWhy why, const std::string& text) {
    Refusal refusal(why);
    refusal.text = text;
    (void)context_.handler.refuse(head_, refusal);
    respond_and_close(plain_response(status, text));
  }

  void break_off(const char* wrong) {
    refuse_request(400, RefuseWhy::kProtocol, wrong);
    close(CloseWhy::kProtocol);
  }

  void respond_and_close(Response response) {
    response.close = true;
    respond(response);
  }

  void respond(const Response& response) {
    const bool head_only = head_.method == "HEAD";
    const bool keep = keeps(response);
    append_head(response);
    if (response.status != 204 && response.status != 304) {
      out_.append("content-length: ").append(std::to_string(response.body.size())).append("\r\n");
    }
    end_head(keep);
    if (!head_only && response.status != 204 && response.status != 304) out_ += response.body;
    finish(keep);
  }

  bool keeps(const Response& response) const {
    return !response.close && !draining_ && parser_->is_done() && parser_->keep_alive();
  }

  void append_head(const Response& response) {
    out_ += "HTTP/1.1 ";
    out_ += std::to_string(response.status);
    out_ += ' ';
    out_ += http_reason(response.status);
    out_ += "\r\n";
    for (const auto& [name, value] : response.headers) out_.append(name).append(": ").append(value).append("\r\n");
  }

  void end_head(bool keep) {
    if (!keep) {
      out_ += "connection: close\r\n";
    } else if (parser_->get().version() < 11) {
      out_ += "connection: keep-alive\r\n";
    }
    out_ += "\r\n";
  }

  // The answer is written: ready for the next request.
  void finish(bool keep) {
    parser_.reset();
    request_.end();
    state_ = State::kHeaders;
    since_ = now_;
    ++served_;
    if (!keep) close();
  }

  const SessionContext& context_;
  Door door_;
  SenderPace pace_;
  std::optional<RequestParser> parser_;  // set while a request is being received
  State state_ = State::kHeaders;
  RequestHead head_;
  std::string in_;
  std::size_t in_at_ = 0;  // so much of in_ is used
  std::string out_;
  TimePoint now_{};
  TimePoint since_;  // of the connection, the request's first byte, or the last answer
  IncomingRequest request_;
  HeldBodies::Share input_held_;
  ClientShare input_share_;            // of the client whose request came last before the input had to wait
  bool input_counts_ = false;          // input_share_ has begun
  std::size_t empty_lines_ = 0;        // since the last request
  std::size_t line_ends_checked_ = 0;  // so much of an incomplete head
  std::uint64_t served_ = 0;
  bool draining_ = false;
  LaterHold later_;
  bool later_begun_ = false;  // its head is written; then the two below are set
  bool chunked_ = false, keep_ = false;
};

}  // namespace

std::unique_ptr<Session> make_http1_session(const SessionContext& context, std::string remote, TimePoint now) {
  return std::make_unique<Http1Session>(context, std::move(remote), now);
}

}  // namespace tailgate
