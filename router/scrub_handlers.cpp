// Administration of the scrub (docs/scrub.md): GET shows, PUT starts, DELETE stops, for one mount or for all.
#include "base/text.hpp"
#include "router/routes.hpp"
#include "router/scrub_report.hpp"

#include <optional>

namespace keepstore::router {
namespace {

std::string first_value(const request_context& request, std::string_view name) {
    auto values = query_values(request.ex.head().query, name);
    return values.empty() ? std::string() : std::move(values.front());
}

awaitable<void> send_status(request_context& request, const store::scrubber& scrub) {
    const auto all = scrub.status(first_value(request, "mount"));
    if (!all) co_return co_await request.reply_error(all.error());
    const std::string body = scrub_json(*all);
    co_await request.reply(200, body, application_json);
}

const error no_scrub(errc::not_found, "this server has no scrub");

}  // namespace

awaitable<void> routes::show_scrub(request_context& request) {
    if (!parts_.scrub) co_return co_await request.reply_error(no_scrub);
    co_await send_status(request, *parts_.scrub);
}

awaitable<void> routes::start_scrub(request_context& request) {
    if (!parts_.scrub) co_return co_await request.reply_error(no_scrub);
    store::scrubber::start_request start;
    start.mount = first_value(request, "mount");
    if (const std::string rate = first_value(request, "rate"); !rate.empty()) {
        start.rate = parse_number<std::uint64_t>(rate);
        if (!start.rate)
            co_return co_await request.reply_error(
                error(errc::bad_request, "rate: expected bytes per second, a whole number; 0 is no limit"));
    }
    const std::string fresh = first_value(request, "fresh");
    if (!fresh.empty() && fresh != "0" && fresh != "1")
        co_return co_await request.reply_error(error(errc::bad_request, "fresh: expected 0 or 1"));
    start.fresh = fresh == "1";
    if (const auto started = parts_.scrub->start(start); !started)
        co_return co_await request.reply_error(started.error());
    co_await send_status(request, *parts_.scrub);
}

awaitable<void> routes::stop_scrub(request_context& request) {
    if (!parts_.scrub) co_return co_await request.reply_error(no_scrub);
    if (const auto stopped = parts_.scrub->stop(first_value(request, "mount")); !stopped)
        co_return co_await request.reply_error(stopped.error());
    co_await send_status(request, *parts_.scrub);
}

}  // namespace keepstore::router
