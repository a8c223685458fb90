#include "router/status_page/status_html.hpp"

#include "base/base64.hpp"
#include "base/sha256.hpp"
#include "router/html.hpp"
#include "router/status_page/assets.hpp"
#include "router/status_page/value_format.hpp"

#include <fmt/format.h>

#include <span>
#include <utility>
#include <vector>

namespace keepstore::router {
namespace {

using json = nlohmann::ordered_json;

// A value of the document, by its place.
const json& at(const json& values, const std::string& place) {
    return values.at(json::json_pointer(place));
}

std::string text_at(const json& values, const std::string& place) {
    return html_escaped(format_value("text", at(values, place)));
}

// A value that the script keeps up to date.
std::string live(const json& values, const std::string& place, std::string_view format) {
    return fmt::format("<span data-v=\"{}\" data-f=\"{}\">{}</span>", place, format,
                       html_escaped(format_value(format, at(values, place))));
}

// A state: its text, and a colour that the style takes from it.
std::string state_of(const json& values, const std::string& place) {
    const auto text = html_escaped(format_value("text", at(values, place)));
    return fmt::format("<span class=\"state\" data-v=\"{}\" data-f=\"state\" data-state=\"{}\">{}</span>", place, text,
                       text);
}

std::string meter_of(const json& values, const std::string& place, std::string_view name) {
    const json& value = at(values, place);
    return fmt::format(
        "<meter min=\"0\" max=\"1\" low=\"0.8\" high=\"0.95\" optimum=\"0\" value=\"{:.4f}\" "
        "data-v=\"{}\" data-f=\"meter\" aria-label=\"{}\"></meter>",
        value.is_number() ? value.get<double>() : 0.0, place, html_escaped(name));
}

// A table whose rows become blocks on a narrow screen, each cell with the heading of its column. The roles keep it a
// table for screen readers then.
class table {
  public:
    table(std::string_view caption, std::vector<std::string> headings) : headings_(std::move(headings)) {
        html_ = fmt::format("<table role=\"table\"><caption>{}</caption><thead role=\"rowgroup\"><tr role=\"row\">",
                            caption);
        for (const auto& h : headings_) html_ += fmt::format("<th scope=\"col\" role=\"columnheader\">{}</th>", h);
        html_ += "</tr></thead><tbody role=\"rowgroup\">";
    }
    // Cells are HTML.
    void row(const std::vector<std::string>& cells) {
        html_ += "<tr role=\"row\">";
        for (std::size_t i = 0; i < cells.size(); ++i)
            html_ +=
                i == 0 ? fmt::format("<th scope=\"row\" role=\"rowheader\">{}</th>", cells[i])
                       : fmt::format("<td role=\"cell\" data-label=\"{}\"><div>{}</div></td>", headings_[i], cells[i]);
        html_ += "</tr>";
    }
    [[nodiscard]] std::string html() const { return html_ + "</tbody></table>"; }

  private:
    std::vector<std::string> headings_;
    std::string html_;
};

std::string figure(std::string_view name, const std::string& value, const std::string& rest = {}) {
    return fmt::format("<div class=\"figure\"><dt>{}</dt><dd><b>{}</b> <small>{}</small></dd></div>", name, value,
                       rest);
}

std::string head_section(const json& v) {
    std::string out =
        fmt::format("<header><h1 tabindex=\"-1\">keepstore on {}</h1><p>{} version {}, cluster {}, up {}</p>",
                    text_at(v, "/service/host"), state_of(v, "/service/state"), text_at(v, "/service/version"),
                    text_at(v, "/service/cluster"), live(v, "/service/uptime", "duration"));
    out += fmt::format("<p class=\"quiet\">Values of {}. <span id=\"live\" role=\"status\"></span></p>",
                       live(v, "/time", "time"));
    out += "<noscript><p>JavaScript is off: load the page again for newer values.</p></noscript></header>";
    out += "<ul class=\"problems\" data-list=\"/service/problems\" aria-label=\"Problems\">";
    for (const json& problem : at(v, "/service/problems"))
        out += "<li>" + html_escaped(problem.get<std::string>()) + "</li>";
    return out + "</ul>";
}

std::string figures_section(const json& v) {
    const auto of = [&](const std::string& place) { return "of " + live(v, place, "number"); };
    return "<section aria-label=\"Overview\"><dl class=\"figures\">" +
           figure("Requests being served", live(v, "/requests/active", "number"), of("/requests/active_max")) +
           figure("Waiting in the queue", live(v, "/requests/queued", "number"), of("/requests/queued_max")) +
           figure("Waiting for their client", live(v, "/requests/waiting_for_client", "number")) +
           figure("Requests", live(v, "/requests/per_second", "per_second")) +
           figure("Queue delay, 99th percentile", live(v, "/requests/queue_delay/p99", "seconds")) +
           figure("Oldest request", live(v, "/requests/oldest_seconds", "duration")) +
           figure("Connections", live(v, "/connections/open", "number"), of("/connections/max")) +
           figure("Memory of the process", live(v, "/memory/resident_bytes", "bytes")) + "</dl></section>";
}

std::string volumes_section(const json& v) {
    table t("Volumes", {"Volume", "Reads", "Writes", "Used", "Free", "Read", "Written", "Calls", "Errors"});
    for (std::size_t i = 0; i < at(v, "/volumes").size(); ++i) {
        const std::string p = fmt::format("/volumes/{}", i);
        const auto mount = text_at(v, p + "/mount");
        std::string classes;
        for (const json& c : at(v, p + "/storage_classes")) classes += " " + html_escaped(c.get<std::string>());
        const bool limited = !at(v, p + "/space").is_null();
        t.row({fmt::format("{}<br><small>{}{}{}</small><br><small class=\"problem\">{}</small>", mount,
                           text_at(v, p + "/device_id"), classes.empty() ? "" : ", class", classes,
                           live(v, p + "/problem", "text")),
               state_of(v, p + "/reads"),
               at(v, p + "/allow_write").get<bool>() ? state_of(v, p + "/writes") : std::string("read-only"),
               limited ? meter_of(v, p + "/space/used_ratio",
                                  fmt::format("Used space of {}", at(v, p + "/mount").get<std::string>())) +
                             " " + live(v, p + "/space/used_ratio", "percent")
                       : std::string("\u2013"),
               limited ? live(v, p + "/space/available_bytes", "bytes") + " <small>of " +
                             live(v, p + "/space/size_bytes", "bytes") + "</small>"
                       : std::string("no limit known"),
               live(v, p + "/read_rate", "rate"), live(v, p + "/write_rate", "rate"),
               live(v, p + "/operations_per_second", "per_second"), live(v, p + "/errors", "number")});
    }
    return "<section>" + t.html() + "</section>";
}

std::string requests_section(const json& v) {
    table t("Requests", {"Method", "Rate", "Since the start", "Refused (4xx)", "Failed (5xx)", "First byte, median",
                         "First byte, 99 %", "Whole, median", "Whole, 99 %"});
    for (std::size_t i = 0; i < at(v, "/requests/by_method").size(); ++i) {
        const std::string p = fmt::format("/requests/by_method/{}", i);
        t.row({text_at(v, p + "/method"), live(v, p + "/per_second", "per_second"), live(v, p + "/count", "number"),
               live(v, p + "/refused", "number"), live(v, p + "/failed", "number"),
               live(v, p + "/to_status/p50", "seconds"), live(v, p + "/to_status/p99", "seconds"),
               live(v, p + "/to_end/p50", "seconds"), live(v, p + "/to_end/p99", "seconds")});
    }
    return "<section>" + t.html() + "<p class=\"quiet\">Latencies are those of the last ten minutes.</p></section>";
}

std::string memory_section(const json& v) {
    table t("Block memory", {"Pool", "In use", "Budget", "Operations waiting", "Waits since the start"});
    for (std::size_t i = 0; i < at(v, "/memory/pools").size(); ++i) {
        const std::string p = fmt::format("/memory/pools/{}", i);
        t.row({text_at(v, p + "/name"), live(v, p + "/in_use_bytes", "bytes"), live(v, p + "/budget_bytes", "bytes"),
               live(v, p + "/waiters", "number"), live(v, p + "/waits", "number")});
    }
    return "<section>" + t.html() + "</section>";
}

std::string hashing_section(const json& v) {
    return "<section><h2>Hashing and lists</h2><dl class=\"figures\">" +
           figure("MD5", live(v, "/digest/bytes_per_second", "rate"), "by " + text_at(v, "/digest/instructions")) +
           figure("Lanes per pass", live(v, "/digest/lanes_per_pass", "decimal"),
                  "of " + live(v, "/digest/lanes", "number")) +
           figure("Lanes per pass, since the start", live(v, "/digest/lanes_per_pass_since_start", "decimal")) +
           figure("Pull list", live(v, "/lists/pull/pending", "number"),
                  "and " + live(v, "/lists/pull/in_progress", "number") + " in progress") +
           figure("Trash list", live(v, "/lists/trash/pending", "number"),
                  "and " + live(v, "/lists/trash/in_progress", "number") + " in progress") +
           "</dl></section>";
}

std::string scrubs_section(const json& v) {
    if (at(v, "/scrubs").empty()) return {};
    table t("Scrub", {"Volume", "State", "Done", "Rate", "Time left", "Blocks", "Bad", "Repaired", "Irreparable",
                      "Last complete"});
    for (std::size_t i = 0; i < at(v, "/scrubs").size(); ++i) {
        const std::string p = fmt::format("/scrubs/{}", i);
        t.row({text_at(v, p + "/mount"), state_of(v, p + "/state"), live(v, p + "/progress", "percent"),
               live(v, p + "/rate", "rate"), live(v, p + "/seconds_left", "duration"), live(v, p + "/blocks", "number"),
               live(v, p + "/bad", "number"), live(v, p + "/repaired", "number"), live(v, p + "/irreparable", "number"),
               live(v, p + "/last_complete_at", "time")});
    }
    return "<section>" + t.html() + "</section>";
}

std::string lines_section(const json& v, const std::string& place, std::string_view heading, std::string_view none) {
    std::string out =
        fmt::format("<section><h2>{}</h2><ol class=\"lines\" data-list=\"{}\" data-none=\"{}\">", heading, place, none);
    for (const json& line : at(v, place))
        out += fmt::format(
            "<li><small>{} <span class=\"level\">{}</span> {}</small><br>{} <small>{}</small></li>",
            html_escaped(format_value("time", line.at("at"))), html_escaped(line.at("level").get<std::string>()),
            html_escaped(line.at("request_id").get<std::string>()), html_escaped(line.at("message").get<std::string>()),
            html_escaped(line.at("details").get<std::string>()));
    if (at(v, place).empty()) out += fmt::format("<li>{}</li>", none);
    return out + "</ol></section>";
}

std::string page(std::string_view title, std::string_view main) {
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\"><title>{}</title>"
        "<link rel=\"icon\" href=\"data:,\"><style>{}</style></head><body>{}<script>{}</script></body></html>\n",
        title, status_style, main, status_script);
}

std::string source_hash(std::string_view text) {
    const auto digest = sha256(text);
    return "'sha256-" + encode_base64(std::as_bytes(std::span(digest))) + "'";
}

}  // namespace

std::string status_html(const json& v) {
    const std::string main =
        fmt::format("<main data-instance=\"{}\">", text_at(v, "/instance")) + head_section(v) + figures_section(v) +
        volumes_section(v) + requests_section(v) + memory_section(v) + hashing_section(v) + scrubs_section(v) +
        lines_section(v, "/failed_requests", "Failed requests", "No request has failed since the start.") +
        lines_section(v, "/log", "Warnings and errors in the log", "There are none since the start.") + "</main>";
    return page("keepstore on " + text_at(v, "/service/host"), main);
}

std::string status_login_html(std::string_view problem) {
    return page(
        "keepstore",
        fmt::format("<main class=\"login\"><h1 tabindex=\"-1\">keepstore</h1><p id=\"live\" role=\"status\">{}</p>"
                    "<form method=\"post\" action=\"/_status\"><label for=\"token\">ManagementToken</label>"
                    "<input id=\"token\" name=\"token\" type=\"password\" required "
                    "autocomplete=\"current-password\"><button>Show the status</button></form></main>",
                    html_escaped(problem)));
}

const std::string& status_content_policy() {
    static const std::string policy = "default-src 'none'; script-src " + source_hash(status_script) + "; style-src " +
                                      source_hash(status_style) +
                                      "; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
                                      "frame-ancestors 'none'";
    return policy;
}

}  // namespace keepstore::router
