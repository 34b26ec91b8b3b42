"""What is spent: what each alert waits for."""

from stack.rules.kit import A_DAY, DAY, HOUR, NO_TEAM, ODD, SEARCH, WEEK, Case, Rule, growing, spend, total_spend

ODD_TEAM = 'a "b"\n\\ 日本 {{ $value }} <b>'
SPEND: dict[str, Rule] = {
    "CostspanSpendHour": Rule(
        "critical",
        "spend",
        "More than 200 US dollars.",
        (
            Case("two teams, just below", 61, {spend(): "0+1.6x70", spend("growth"): "0+1.7x70"}),
            Case("two teams", 61, {spend(): "0+1.7x70", spend("growth"): "0+1.7x70"}, total_spend("204.00")),
            Case("a restart loses what was not seen yet, and no more", 61, {spend(): "0+4x30 0+4x35"}, total_spend("235.93")),
            Case(
                "a program of one call, extrapolated",
                61,
                {spend(): "_x29 0 250x9 _x30"},
                total_spend("262.50"),
            ),
            Case("spent two hours ago", 181, {spend(): "0+10x60 600x130"}),
        ),
    ),
    "CostspanTeamSpendHour": Rule(
        "warning",
        "spend",
        "More than 100 US dollars by one team.",
        (
            Case("each below, together far above", 61, {spend(): "0+1.6x70", spend("growth"): "0+1.6x70"}),
            Case(
                "one team, over two processes and models",
                61,
                {spend(): "0+0.9x70", spend(model="o3", instance="b"): "0+0.9x70", spend("growth"): "0+1x70"},
                ((SEARCH, "US dollars 108.00 in the last hour, by team search"),),
            ),
            Case("calls without a team", 61, {spend(None): "0+1.8x70"}, (({}, NO_TEAM),)),
            Case(
                "a team of an odd name",
                61,
                {spend(r"a \"b\"\n\\ 日本 {{ $value }} <b>"): "0+1.8x70"},
                (({"costspan_team": ODD_TEAM}, f"US dollars 108.00 in the last hour, by team {ODD_TEAM}"),),
            ),
        ),
    ),
    "CostspanSpendDay": Rule(
        "critical",
        "spend",
        "More than 2000 US dollars.",
        (
            Case("just below", DAY + 5, {spend(): "0+6.9x300"}, step=5),
            Case(
                "each hour is in order, the day is not",
                DAY + 5,
                {spend(): "0+7x300"},
                (({}, A_DAY.format("2016.00") + "all teams together"),),
                5,
            ),
        ),
    ),
    "CostspanTeamSpendDay": Rule(
        "warning",
        "spend",
        "More than 1000 US dollars by one team.",
        (
            Case("each below", DAY + 5, {spend(): "0+3.4x300", spend("growth"): "0+3.4x300"}, step=5),
            Case(
                "one",
                DAY + 5,
                {spend(): "0+3.5x300", spend("growth"): "0+3.4x300"},
                ((SEARCH, A_DAY.format("1008.00") + "by team search"),),
                5,
            ),
        ),
    ),
    "CostspanSpendAnomaly": Rule(
        "warning",
        "spend",
        "US dollars 48.00 in the last hour: more than 3 times as much.",
        (
            Case("three times, not more", WEEK + DAY + 75, {spend(): "0+1x2304 2307+3x30"}, step=5),
            Case("not for ten minutes", WEEK + DAY + 45, {spend(): "0+1x2304 2308+4x30"}, step=5),
            Case("four times", WEEK + DAY + 75, {spend(): "0+1x2304 2308+4x30"}, ((SEARCH, ODD),), 5),
            Case("many times, but few dollars", WEEK + DAY + 75, {spend(): "0+0.1x2304 232+1.5x30"}, step=5),
            Case("a team that is new", WEEK + DAY + 75, {spend(): "_x2300 0+4x40", spend("growth"): "0+1x2340"}, step=5),
            Case(
                "a team that was idle in that hour", WEEK + DAY + 75, {spend(): "0+1x250 250x2050 250+4x30"}, ((SEARCH, ODD),), 5
            ),
        ),
    ),
    "CostspanRunawayModel": Rule(
        "critical",
        "model",
        "And more than 5 times what it took in a mean hour of the day before, in this hour yesterday, and last week.",
        (
            Case("grown, but not half of it", 37 * HOUR, {spend(): "0+5x450", spend(model="o3"): "0+0.1x432 47+4x20"}, step=5),
            Case("half of it, as always", 37 * HOUR, {spend(): "0+1x450", spend(model="o3"): "0+4x450"}, step=5),
            Case("few dollars", 37 * HOUR, {spend(): "0+0.1x450", spend(model="o3"): growing((0.01, 432), (1.5, 20))}, step=5),
            Case("a nightly batch", 37 * HOUR, {spend(): "0+1x450", spend(model="o3"): "0x144 4+4x11 48x275 52+4x20"}, step=5),
            Case(
                "a batch that ran for hours yesterday, at another hour",
                37 * HOUR,
                {spend(): "0+1x450", spend(model="o3"): growing((0, 168), (4, 72), (0, 192), (4, 20))},
                step=5,
            ),
            Case(
                "a Monday morning",
                WEEK + DAY + HOUR,
                {spend(): "0+1x2400", spend(model="o3"): growing((0, 288), (4, 12), (0, 2004), (4, 20))},
                step=5,
            ),
            Case(
                "little above everything",
                37 * HOUR,
                {spend(): "0+3x450", spend(model="o3"): growing((0, 144), (0.7, 12), (0, 24), (4.2, 45), (0, 207), (4, 20))},
                (({"gen_ai_request_model": "o3"}, "Model o3 takes 57.14% of the last hour's spend"),),
                5,
            ),
            Case("a first day", 61, {spend(): "0+1x20", spend(model="o3"): "0+4x20"}, step=5),
            Case(
                "grown",
                37 * HOUR,
                {spend(): "0+1x450", spend(model="o3"): "0+0.1x432 47.2+4x20"},
                (({"gen_ai_request_model": "o3"}, "Model o3 takes 80% of the last hour's spend"),),
                5,
            ),
            Case(
                "a new one, little above the floor",
                37 * HOUR,
                {spend(): "0+0.5x450", spend(model="o3", instance="b"): "_x432 0+2x20"},
                (({"gen_ai_request_model": "o3"}, "Model o3 takes 80% of the last hour's spend"),),
                5,
            ),
        ),
    ),
}
