// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on nghttp2. Body bytes are copied once, from the read buffer into the stream's BodyBuffer. The answers of a
// batch of reads are taken out together.
//
// nghttp2 does not bound frames without progress, resets in both directions, and header lists, so they are counted
// here, in http2_flood.h and in http2_stream.h. Past a limit a callback fails, the session stops using nghttp2, and the
// peer gets a GOAWAY that is made by hand. While enough answers are on their way (http2_answers.h), complete requests
// wait.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <exception>
#include <unordered_map>
#include <vector>

#include "base/invariant.h"
#include "net/http/door.h"
#include "net/http/http2_answers.h"
#include "net/http/http2_flood.h"
#include "net/http/http2_stream.h"
#include "net/http/sender_pace.h"
#include "net/http/session.h"

namespace tailgate {
namespace {

constexpr std::int32_t kStreamWindow = 8 << 20;
constexpr std::int32_t kConnectionWindow = 16 << 20;
constexpr std::uint32_t kFrameSize = 1 << 20;
constexpr std::size_t kStreamsRecycled = 16;

class Http2Session final : public Session {
 public:
  Http2Session(const SessionContext& context, std::string remote, TimePoint now);
  ~Http2Session() override { nghttp2_session_del(session_); }

  void feed(ByteView bytes, TimePoint now) override;
  void take_output(std::string& out) override;
  void tick(TimePoint now) override;
  void drain() override;
  void set_certificate_name(std::string name) override { door_.set_certificate_name(std::move(name)); }
  bool waiting() const override { return !waiting_.empty(); }
  bool served() const override { return requests_ > 0; }
  bool receiving_headers() const override { return header_open_; }
  bool idle() const override { return streams_.empty() && nghttp2_session_want_write(session_) == 0; }

 private:
  friend struct Callbacks;

  int fatal(CloseWhy why) {
    if (!fatal_) fatal_ = why;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  void abort_with(CloseWhy why);
  void close_if_done();
  int count_reset();
  Stream* find(std::int32_t id) { return Http2Answers::stream_of(session_, id); }

  int on_begin_frame(const nghttp2_frame_hd& hd);
  int on_begin_headers(const nghttp2_frame& frame);
  int on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  int on_frame(const nghttp2_frame& frame);
  int on_data(std::int32_t id, ByteView bytes);
  void hold_incomplete();
  void refuse_body(Stream& s, const Refusal& why);
  int on_sent(const nghttp2_frame& frame);
  void on_closed(std::int32_t id);
  void on_headers_complete(Stream& s);
  void ask_again();
  void on_complete(Stream& s);
  void handle(Stream& s);
  bool handle_ready();
  void answer(Stream& s, Response response);
  void count_refusal(const Stream& s, RefuseWhy why);

  const SessionContext& context_;
  const std::string remote_;
  Door door_;
  SenderPace pace_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> spare_;
  std::vector<std::int32_t> grown_;    // streams that got body bytes in this feed
  std::vector<std::int32_t> waiting_;  // streams whose credentials are being checked
  TimePoint stopped_at_{};             // nothing has been read since then, because of waiting_
  std::vector<std::int32_t> ready_;    // streams whose requests are complete, until there is room for answers
  std::string goaway_;                 // made by hand; sent after everything else
  std::optional<CloseWhy> fatal_;
  TimePoint now_;
  Http2Answers answers_{now_};
  TimePoint active_;          // the last request, body byte or answer
  TimePoint header_since_{};  // a header block has begun and not ended
  bool header_open_ = false;
  bool asked_ = false;  // the headers of a request have been complete
  bool idle_ = false;   // for too long, and GOAWAY is on its way
  std::uint64_t requests_ = 0;
  FloodGuard flood_;
  std::int32_t last_id_ = 0;
};

// nghttp2 takes a table of C functions; each calls the member of the same name.
struct Callbacks {
  static Http2Session& self(void* p) { return *static_cast<Http2Session*>(p); }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* hd, void* p) { return self(p).on_begin_frame(*hd); }
  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* p) {
    return self(p).on_begin_headers(*frame);
  }
  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* p) {
    return self(p).on_header(*frame, {reinterpret_cast<const char*>(name), name_size},
                             {reinterpret_cast<const char*>(value), value_size});
  }
  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* p) { return self(p).on_frame(*frame); }
  static int data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
                  void* p) {
    return self(p).on_data(id, {reinterpret_cast<const char*>(data), size});
  }
  static int sent(nghttp2_session*, const nghttp2_frame* frame, void* p) { return self(p).on_sent(*frame); }
  static int closed(nghttp2_session*, std::int32_t id, std::uint32_t, void* p) {
    self(p).on_closed(id);
    return 0;
  }

  // Made once; nghttp2 copies what it needs.
  static const nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* c = nullptr;
      INVARIANT(nghttp2_session_callbacks_new(&c) == 0);
      nghttp2_session_callbacks_set_on_begin_frame_callback(c, begin_frame);
      nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(c, header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data);
      nghttp2_session_callbacks_set_on_frame_send_callback(c, sent);
      nghttp2_session_callbacks_set_on_stream_close_callback(c, closed);
      return c;
    }();
    return callbacks;
  }
};

Http2Session::Http2Session(const SessionContext& context, std::string remote, TimePoint now)
    : context_(context),
      remote_(std::move(remote)),
      door_(context, remote_),
      now_(now),
      active_(now),
      flood_(context.limits, now) {
  nghttp2_option* option = nullptr;
  if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_stream_reset_rate_limit(
      option, 1'000'000, 1'000'000);  // counted here, together with the resets that the peer provokes
  const int rv = nghttp2_session_server_new2(&session_, Callbacks::table(), this, option);
  nghttp2_option_del(option);
  if (rv != 0) throw std::bad_alloc();
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, context_.limits.streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(kStreamWindow)},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameSize},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(context_.limits.header_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

void Http2Session::feed(ByteView bytes, TimePoint now) {
  now_ = now;
  if (closing() || bytes.empty()) return;
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (fatal_) return abort_with(*fatal_);
  if (n < 0) {
    const bool flood = n == NGHTTP2_ERR_FLOODED;
    const bool headers = n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
    return abort_with(flood ? CloseWhy::kNoProgress : headers ? CloseWhy::kHeaders : CloseWhy::kProtocol);
  }
  hold_incomplete();
  if (!flood_.read(bytes)) return abort_with(CloseWhy::kNoProgress);
  close_if_done();
}

void Http2Session::take_output(std::string& out) {
  if (!closing()) answers_.go_on(session_);
  while (out.size() < kOutputHigh && goaway_.empty()) {
    const std::uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n == 0 && handle_ready()) continue;
    if (n <= 0) {
      if (n < 0) abort_with(fatal_.value_or(CloseWhy::kProtocol));
      break;
    }
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(n));
  }
  if (!goaway_.empty()) {
    out += goaway_;
    goaway_.clear();
    return;
  }
  close_if_done();
}

// After a failed callback nghttp2 may not be asked for frames any more, so the GOAWAY is made by hand.
void Http2Session::abort_with(CloseWhy why) {
  if (closing()) return;
  const auto error = why == CloseWhy::kProtocol ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM;
  goaway_ = goaway_frame(static_cast<std::uint32_t>(last_id_), static_cast<std::uint32_t>(error));
  for (auto& [key, s] : streams_) {
    s->request.end();
    s->later.reset();
  }
  waiting_.clear();
  ready_.clear();
  close(why);
}

void Http2Session::close_if_done() {
  if (closing() || nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0) return;
  if (idle_) {
    close(asked_ ? CloseWhy::kIdle : CloseWhy::kHeaderTimeout);
  } else {
    close();
  }
}

int Http2Session::on_begin_frame(const nghttp2_frame_hd& hd) {
  if (hd.type != NGHTTP2_CONTINUATION) header_open_ = false;
  return flood_.frame(hd.length) ? 0 : fatal(CloseWhy::kNoProgress);
}

int Http2Session::count_reset() { return flood_.reset(now_) ? 0 : fatal(CloseWhy::kResets); }

int Http2Session::on_begin_headers(const nghttp2_frame& frame) {
  header_open_ = true;
  header_since_ = now_;
  if (frame.hd.type != NGHTTP2_HEADERS || frame.headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  std::unique_ptr<Stream> stream;
  if (spare_.empty()) {
    stream = std::make_unique<Stream>(context_);
  } else {
    stream = std::move(spare_.back());
    spare_.pop_back();
  }
  stream->id = frame.hd.stream_id;
  stream->head.is_http2 = true;
  if (stream->head.remote.empty()) stream->head.remote = remote_;
  stream->request.start(now_);
  nghttp2_session_set_stream_user_data(session_, frame.hd.stream_id, stream.get());
  last_id_ = frame.hd.stream_id;
  streams_[frame.hd.stream_id] = std::move(stream);
  return 0;
}

int Http2Session::on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value) {
  if (frame.hd.type != NGHTTP2_HEADERS) return 0;
  Stream* s = find(frame.hd.stream_id);
  if (s == nullptr) return 0;
  const bool trailer = frame.headers.cat != NGHTTP2_HCAT_REQUEST;
  switch (s->add_header(name, value, trailer)) {
    case Stream::HeaderResult::kTaken:
      return 0;
    case Stream::HeaderResult::kTooLarge:
      if (!s->headers_over) {
        count_refusal(*s, RefuseWhy::kHeaders);
        if (!flood_.large_headers()) return fatal(CloseWhy::kHeaders);
      }
      s->headers_over = true;
      break;
    case Stream::HeaderResult::kNoMemory:
      count_refusal(*s, RefuseWhy::kNoMemory);
      break;
  }
  header_open_ = false;
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets the stream; the block is decoded on for HPACK's sake
}

int Http2Session::on_frame(const nghttp2_frame& frame) {
  Stream* s = frame.hd.stream_id != 0 ? find(frame.hd.stream_id) : nullptr;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      header_open_ = false;
      if (s != nullptr && frame.headers.cat == NGHTTP2_HCAT_REQUEST) on_headers_complete(*s);
      [[fallthrough]];
    case NGHTTP2_DATA:
      if (s != nullptr && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) on_complete(*s);
      return 0;
    case NGHTTP2_RST_STREAM:
      // A peer that has the whole answer may drop the rest of its request. Before that, a reset wastes our work.
      return s != nullptr && !s->finished ? count_reset() : 0;
    default:
      return 0;
  }
}

void Http2Session::on_headers_complete(Stream& s) {
  active_ = now_;
  asked_ = true;
  Admission admission = door_.admit(s.head, now_);
  if (!admission.refusal && s.head.content_length && *s.head.content_length > s.request.body_max_of(admission)) {
    admission.refusal = context_.handler.refuse(s.head, RefuseWhy::kTooLarge);
  }
  if (admission.refusal) {
    s.request.end();
    return answer(s, std::move(*admission.refusal));
  }
  s.request.admit(s.head, admission, now_);
  if (!s.request.waiting()) return;
  if (waiting_.empty()) stopped_at_ = now_;
  waiting_.push_back(s.id);
}

int Http2Session::on_data(std::int32_t id, ByteView bytes) {
  flood_.body(bytes.size());
  Stream* s = find(id);
  if (s == nullptr || !s->request.admitted() || s->answered) return 0;
  active_ = now_;
  s->request.arrived(bytes.size());
  if (const auto why = s->request.take(bytes)) {
    refuse_body(*s, *why);
  } else if (!s->body_grew) {
    s->body_grew = true;
    grown_.push_back(id);
  }
  return 0;
}

void Http2Session::refuse_body(Stream& s, const Refusal& why) {
  s.request.end();
  answer(s, context_.handler.refuse(s.head, why));
}

// For a stream that is reset: the handler counts the refusal, and its response is not sent.
void Http2Session::count_refusal(const Stream& s, RefuseWhy why) {
  if (!s.answered) (void)context_.handler.refuse(s.head, why);
}

// Complete requests are not counted: most requests arrive whole in one read.
void Http2Session::hold_incomplete() {
  for (const std::int32_t id : grown_) {
    Stream* const s = find(id);
    if (s == nullptr) continue;
    s->body_grew = false;
    if (s->answered || (s->complete && !s->request.waiting() && !s->ready)) continue;
    if (const auto refusal = s->request.hold(now_)) refuse_body(*s, *refusal);
  }
  grown_.clear();
}

void Http2Session::on_complete(Stream& s) {
  s.complete = true;
  if (s.request.waiting()) return;
  if (s.answered || !answers_.full()) return handle(s);
  s.ready = true;
  s.ready_since = now_;
  ready_.push_back(s.id);
}

// Returns false when nothing was answered.
bool Http2Session::handle_ready() {
  bool any = false;
  std::size_t taken = 0;
  for (; taken < ready_.size() && !answers_.full(); ++taken) {
    Stream* const s = find(ready_[taken]);
    if (s == nullptr || s->answered) continue;
    s->ready = false;
    any = true;
    handle(*s);
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(taken));
  return any;
}

void Http2Session::handle(Stream& s) {
  s.request.complete(now_);
  flood_.request();
  ++requests_;
  active_ = now_;
  if (s.answered) return;
  s.head.answer_by = pace_.came(!answers_.waits(), now_);
  Response response;
  try {
    context_.handler.handle(s.head, s.request.body(), response);
  } catch (const std::exception&) {
    response = refuse_failed(context_.handler, s.head);
  }
  s.request.end();
  answer(s, std::move(response));
}

// Asks again about the streams that wait for their credentials; they continue where they were.
void Http2Session::ask_again() {
  // While one stream waits, nothing is read for any of them, so their clocks stand still.
  const Duration stopped = now_ - stopped_at_;
  for (auto& [id, s] : streams_) s->request.pause(stopped);
  header_since_ += stopped;
  const std::vector<std::int32_t> ids = std::move(waiting_);
  waiting_.clear();
  for (const std::int32_t id : ids) {
    Stream* const s = find(id);
    if (s == nullptr || s->answered) continue;
    on_headers_complete(*s);
    if (s->request.waited_too_long(now_)) {
      waiting_.pop_back();  // on_headers_complete has just put it there again
      refuse_body(*s, RefuseWhy::kAuthBusy);
    }
    if (s->complete && !s->request.waiting() && !s->answered) on_complete(*s);
  }
}

void Http2Session::answer(Stream& s, Response response) {
  if (s.ready) std::erase(ready_, s.id);
  s.ready = false;
  if (response.later != nullptr) return answers_.wait_for(s, std::move(response.later), waker());
  answers_.submit(session_, s, std::move(response));
}

int Http2Session::on_sent(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_RST_STREAM:
      return frame.rst_stream.error_code != NGHTTP2_NO_ERROR ? count_reset() : 0;
    case NGHTTP2_GOAWAY:
      if (frame.goaway.error_code != NGHTTP2_NO_ERROR) close(CloseWhy::kProtocol);
      return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
      if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        active_ = now_;
        if (Stream* s = find(frame.hd.stream_id); s != nullptr) {
          s->finished = true;
          // RFC 9113 section 8.1: tells the peer not to send the rest of the request.
          if (!s->complete) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
        }
      }
      return 0;
    default:
      return 0;
  }
}

void Http2Session::on_closed(std::int32_t id) {
  const auto it = streams_.find(id);
  if (it == streams_.end()) return;
  answers_.forget(*it->second);
  if (it->second->ready) std::erase(ready_, id);
  if (spare_.size() < kStreamsRecycled) {
    it->second->clear();
    spare_.push_back(std::move(it->second));
  }
  streams_.erase(it);
}

void Http2Session::tick(TimePoint now) {
  now_ = now;
  if (closing()) return;
  if (!waiting_.empty()) ask_again();
  flood_.tick(now);
  const ServerLimits& limits = context_.limits;
  if (header_open_ && now - header_since_ >= limits.header_timeout) return abort_with(CloseWhy::kHeaderTimeout);
  for (auto& [id, s] : streams_) {
    s->request.trim();
    if (s->ready) {
      if (now - s->ready_since >= limits.header_timeout) refuse_body(*s, RefuseWhy::kNoMemory);
      continue;
    }
    const bool slow = !s->answered && s->request.slow(now);
    const Http2Answers::Stuck stuck = answers_.stuck(session_, *s, limits.header_timeout);
    if (stuck == Http2Answers::Stuck::kConnection) return abort_with(CloseWhy::kSlowReader);
    if (!slow && stuck == Http2Answers::Stuck::kNothing) continue;
    if (slow) count_refusal(*s, RefuseWhy::kSlowBody);
    s->request.end();
    s->answered = true;  // takes no more of its body
    s->answer_progress = now;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
  // A connection without a request so far has the header timeout.
  if (streams_.empty() && !idle_ && now - active_ >= (asked_ ? limits.idle_timeout : limits.header_timeout)) {
    idle_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last_id_, NGHTTP2_NO_ERROR, nullptr, 0);
  }
  close_if_done();
}

void Http2Session::drain() {
  if (closing()) return;
  answers_.drain(session_, streams_);
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last_id_, NGHTTP2_NO_ERROR, nullptr, 0);
  close_if_done();
}

}  // namespace

std::unique_ptr<Session> make_http2_session(const SessionContext& context, std::string remote, TimePoint now) {
  return std::make_unique<Http2Session>(context, std::move(remote), now);
}

}  // namespace tailgate
