// SPDX-License-Identifier: Apache-2.0
#include "net/http/http2_answers.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace tailgate {
namespace {

nghttp2_nv field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

std::string goaway_frame(std::uint32_t last_id, std::uint32_t error) {
  std::string out("\0\0\x08\x07\0\0\0\0\0", 9);
  for (const std::uint32_t number : {last_id, error}) {
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(number >> shift));
  }
  return out;
}

void Http2Answers::submit(nghttp2_session* session, Stream& s, Response response) {
  s.answered = true;
  s.answer_progress = now_;
  s.response = std::move(response);
  bytes_ += s.response.body.size();
  submit_head(session, s);
}

void Http2Answers::submit_head(nghttp2_session* session, Stream& s) {
  const Response& r = s.response;
  const bool later = static_cast<bool>(s.later);
  const std::string status = std::to_string(r.status);
  const std::string length = std::to_string(r.body.size());
  const bool trailers_only = r.body.empty() && !r.trailers.empty();
  fields_.clear();
  fields_.push_back(field(":status", status));
  for (const auto& [name, value] : r.headers) fields_.push_back(field(name, value));
  if (!later && r.trailers.empty() && r.status != 204 && r.status != 304)
    fields_.push_back(field("content-length", length));
  if (trailers_only) {
    for (const auto& [name, value] : r.trailers) fields_.push_back(field(name, value));
  }
  const bool has_body = (later || !r.body.empty()) && s.head.method != "HEAD";
  nghttp2_data_provider provider{};
  provider.source.ptr = this;
  provider.read_callback = read;
  nghttp2_submit_response(session, s.id, fields_.data(), fields_.size(), has_body ? &provider : nullptr);
}

ssize_t Http2Answers::read(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source* source, void*) {
  auto& self = *static_cast<Http2Answers*>(source->ptr);
  Stream* const s = stream_of(session, id);
  if (s == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (s->later) return read_later(self, session, *s, to, size, flags);
  std::string& body = s->response.body;
  std::optional<std::string>& at_drain = s->response.at_drain;
  if (s->body_sent == body.size() && at_drain && self.draining_) {
    body += *at_drain;
    self.bytes_ += at_drain->size();
    at_drain.reset();
  }
  if (s->body_sent == body.size() && at_drain) return NGHTTP2_ERR_DEFERRED;
  const std::size_t n = std::min(size, body.size() - s->body_sent);
  std::memcpy(to, body.data() + s->body_sent, n);
  s->body_sent += n;
  if (n != 0) s->answer_progress = self.progress_ = self.now_;
  if (s->body_sent == body.size() && !at_drain) {
    self.submit_trailers(session, *s, flags);
  }
  return static_cast<ssize_t>(n);
}

void Http2Answers::submit_trailers(nghttp2_session* session, const Stream& s, std::uint32_t* flags) {
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (s.response.trailers.empty()) return;
  *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
  fields_.clear();
  for (const auto& [name, value] : s.response.trailers) fields_.push_back(field(name, value));
  nghttp2_submit_trailer(session, s.id, fields_.data(), fields_.size());
}

void Http2Answers::wait_for(Stream& s, std::shared_ptr<LaterAnswer> answer, std::function<void()> waker) {
  s.answered = true;
  s.answer_progress = now_;
  s.later = LaterHold(std::move(answer));
  s.later_begun = false;
  later_.push_back(s.id);
  s.later->attach(std::move(waker));
}

void Http2Answers::go_on(nghttp2_session* session) {
  for (std::size_t i = 0; i < later_.size();) {
    Stream* const s = stream_of(session, later_[i]);
    if (s != nullptr && s->later_begun) {
      nghttp2_session_resume_data(session, s->id);  // fails when the stream does not wait, which is not an error
    } else if (std::optional<LaterAnswer::Head> head = s != nullptr ? s->later->take_head() : std::nullopt) {
      if (head->whole) {
        later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(i));
        s->later.reset();
        submit(session, *s, std::move(head->response));
        continue;
      }
      s->later_begun = true;
      s->response = std::move(head->response);
      submit_head(session, *s);
    }
    ++i;
  }
}

ssize_t Http2Answers::read_later(Http2Answers& self, nghttp2_session* session, Stream& s, std::uint8_t* to,
                                 std::size_t size, std::uint32_t* flags) {
  const LaterAnswer::Piece taken = s.later->take(reinterpret_cast<char*>(to), size);
  if (taken.size != 0) s.answer_progress = self.progress_ = self.now_;
  if (taken.state == LaterAnswer::State::kFailed) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets the stream
  if (taken.state == LaterAnswer::State::kMore && taken.size == 0) return NGHTTP2_ERR_DEFERRED;
  if (taken.state == LaterAnswer::State::kEnd) {
    s.response.trailers = s.later->trailers();
    self.submit_trailers(session, s, flags);
  }
  return static_cast<ssize_t>(taken.size);
}

void Http2Answers::drain(nghttp2_session* session,
                         const std::unordered_map<std::int32_t, std::unique_ptr<Stream>>& streams) {
  draining_ = true;
  for (const auto& [id, s] : streams) {
    if (s->response.at_drain) nghttp2_session_resume_data(session, id);
  }
}

Http2Answers::Stuck Http2Answers::stuck(nghttp2_session* session, const Stream& s, Duration timeout) const {
  if (!s.answered || s.finished || now_ - s.answer_progress < timeout) return Stuck::kNothing;
  const bool of_stream = nghttp2_session_get_stream_remote_window_size(session, s.id) <= 0;
  if (!of_stream && nghttp2_session_get_remote_window_size(session) > 0) return Stuck::kNothing;
  if (now_ - progress_ >= timeout) return Stuck::kConnection;
  return of_stream ? Stuck::kStream : Stuck::kNothing;
}

}  // namespace tailgate
