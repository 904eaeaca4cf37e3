"""The stand-in LMS answers as the real one: every error of the Enrollment API, every trap."""

import json

import pytest

from harness import lms as lms_module
from harness.lms import DEMO

ENROLLMENT = "/api/enrollment/v1/enrollment"
ENTITLEMENTS = "/api/entitlements/v1/entitlements/"
KEY = {"X-Edx-Api-Key": lms_module.API_KEY}
COURSE_UUID = "6a5f2c1e-0f0c-4f0f-8a53-1f1f0c3b2d4e"


def body(user="honor", mode="verified", course=DEMO, order="EDX-1", **more):
    attributes = [{"namespace": "order", "name": "order_number", "value": order}] if order else []
    return {"user": user, "mode": mode, "is_active": True, "course_details": {"course_id": course},
            "enrollment_attributes": attributes, **more}


def token_answer(lms, secret=lms_module.CLIENT_SECRET, path="/oauth2/access_token"):
    form = f"grant_type=client_credentials&client_id={lms_module.CLIENT_ID}&client_secret={secret}&token_type=jwt"
    status, headers, text = lms.request("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})
    return status, json.loads(text) if text.startswith(b"{") else text


def jwt(lms):
    return {"Authorization": "JWT " + token_answer(lms)[1]["access_token"]}


def post(lms, document, headers=KEY):
    status, answered, text = lms.request("POST", ENROLLMENT, document, headers)
    return status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode(), answered


def get(lms, user, course=DEMO, headers=KEY):
    status, _, text = lms.request("GET", f"{ENROLLMENT}/{user},{course.replace('+', '%2B')}", headers=headers)
    return status, text


# success

def test_an_enrollment_is_answered_200_and_can_be_read(lms):
    status, answer, _ = post(lms, body())
    assert status == 200
    assert (answer["mode"], answer["is_active"], answer["user"]) == ("verified", True, "honor")
    assert answer["course_details"]["course_id"] == DEMO
    assert {"slug": "verified", "sku": "8CF08E5"}.items() <= answer["course_details"]["course_modes"][2].items()
    status, text = get(lms, "honor")
    assert status == 200 and json.loads(text) == answer


def test_not_enrolled_is_200_with_an_empty_body(lms):
    assert get(lms, "honor") == (200, b"")


def test_a_plus_in_the_path_may_be_sent_as_it_is(lms):
    post(lms, body())
    status, _, text = lms.request("GET", f"{ENROLLMENT}/honor,{DEMO}", headers=KEY)
    assert status == 200 and json.loads(text)["user"] == "honor"


def test_attributes_replace_those_of_an_earlier_order(lms):
    post(lms, body(mode="audit", order="A"))
    post(lms, body(mode="verified", order="B"))
    values = [attribute["value"] for attribute in lms.enrollment("honor")["attributes"]]
    assert values == ["B"]


def test_a_repeat_for_an_active_enrollment_leaves_its_attributes(lms):
    post(lms, body(order="A"))
    assert post(lms, body(order="B"))[0] == 200
    assert lms.enrollment("honor")["attributes"][0]["value"] == "A"


# E1 to E19

ERRORS = {
    "E1 no course": (body(course=None), 400, "Course ID must be specified to create a new enrollment."),
    "E2 not a course key": (body(course="DemoX"), 400, "No course 'DemoX' found for enrollment"),
    "E2 unknown course": (body(course="course-v1:a+b+c"), 400, "No course 'course-v1:a+b+c' found for enrollment"),
    "E5 unknown user": (body(user="ghost"), 406, "The user ghost does not exist."),
    "E6 embargo": (body(course="course-v1:edX+EmbargoX+2026"), 403,
                   "Users from this location cannot access the course 'course-v1:edX+EmbargoX+2026'."),
    "E6 embargoed user": (body(user="banned"), 403, f"Users from this location cannot access the course '{DEMO}'."),
    "E7 is_active is no boolean": (body(is_active="yes"), 400, "'yes' is an invalid enrollment activation status."),
    "E8 force_enrollment is no boolean": (body(force_enrollment="yes"), 400,
                                          "'yes' is an invalid force enrollment status."),
    "E11 mode not offered": (body(course="course-v1:edX+AuditX+2026"), 400,
                             "The [verified] course mode is expired or otherwise unavailable for course run "
                             "[course-v1:edX+AuditX+2026]."),
    "E11 mode expired": (body(course="course-v1:edX+ExpiredX+2026"), 400,
                         "The [verified] course mode is expired or otherwise unavailable for course run "
                         "[course-v1:edX+ExpiredX+2026]."),
    "E12 closed": (body(course="course-v1:edX+ClosedX+2026"), 400,
                   "An error occurred while creating the new course enrollment for user 'honor' in course "
                   "'course-v1:edX+ClosedX+2026'"),
    "E12 full": (body(course="course-v1:edX+FullX+2026"), 400,
                 "An error occurred while creating the new course enrollment for user 'honor' in course "
                 "'course-v1:edX+FullX+2026'"),
    "E13 malformed attribute": (body(enrollment_attributes=[{"name": "a", "value": "b"}]), 400,
                                "'namespace' not in enrollment attribute"),
    "E14 a plug-in says no": (body(course="course-v1:edX+VetoX+2026"), 403,
                              "Enrollment is not allowed for this learner."),
}


@pytest.mark.parametrize("row", ERRORS)
def test_error(lms, row):
    document, status, message = ERRORS[row]
    answered = post(lms, document)
    assert (answered[0], answered[1]["message"]) == (status, message)
    assert lms.state()["enrollments"] == []


def test_errors_carry_their_further_members(lms):
    assert "user_message_url" in post(lms, body(user="banned"))[1]
    details = post(lms, body(course="course-v1:edX+ExpiredX+2026"))[1]["course_details"]
    assert [mode["slug"] for mode in details["course_modes"]] == ["audit"]
    assert "localizedMessage" in post(lms, body(course="course-v1:edX+VetoX+2026"))[1]


def test_e3_and_e4_a_token_without_staff_may_not_act_for_others_nor_choose_modes(lms):
    lms.configure(tokens={"staff": False})
    token = jwt(lms)
    assert post(lms, body(), token)[:2] == (404, "")
    assert get(lms, "honor", headers=token) == (404, b"")
    answered = post(lms, body(user="fulfillment_service"), token)
    assert answered[0] == 403
    assert answered[1]["message"] == \
        "User does not have permission to create enrollment with mode [verified]."


def test_e5_a_learner_found_by_e_mail(lms):
    document = body(email="honor@example.com")
    del document["user"]
    assert post(lms, document)[1]["user"] == "honor"
    document["email"] = "nobody@example.com"
    answered = post(lms, document)
    assert (answered[0], answered[1]["message"]) == (
        406, "The user with the email address nobody@example.com does not exist.")


def test_e9_deactivation_in_another_mode_is_refused(lms):
    post(lms, body(mode="honor"))
    answered = post(lms, body(mode="verified", is_active=False))
    assert (answered[0], answered[1]["message"]) == (
        400, "Enrollment mode mismatch: active mode=honor, requested mode=verified. Won't deactivate.")
    assert lms.enrollment("honor")["is_active"]


def test_e10_credit_wants_its_provider_when_an_enrollment_changes(lms):
    post(lms, body(mode="verified"))
    answered = post(lms, body(mode="credit"))
    assert (answered[0], answered[1]["message"]) == (
        400, "Missing enrollment attributes: requested mode=credit required attributes=['credit:provider_id']")
    provider = {"namespace": "credit", "name": "provider_id", "value": "asu"}
    assert post(lms, body(mode="credit", enrollment_attributes=[provider]))[0] == 200


def test_e15_an_unknown_cohort_is_an_error_after_the_enrollment_was_written(lms):
    answered = post(lms, body(cohort="nowhere"))
    assert (answered[0], answered[1]["message"]) == (400, "An error occured while adding to cohort [nowhere]")
    assert lms.enrollment("honor")["is_active"]
    assert post(lms, body(user="other", cohort="default"))[0] == 200


@pytest.mark.parametrize("headers", [{}, {"X-Edx-Api-Key": "wrong"}], ids=["nothing", "a wrong key"])
def test_e16_no_credentials(lms, headers):
    status, answer, answered = post(lms, body(), headers)
    assert (status, answer) == (401, {"detail": "Authentication credentials were not provided."})
    assert answered["WWW-Authenticate"] == 'JWT realm="api"'


def test_e16_a_bad_token_beats_a_good_api_key(lms):
    status, answer, answered = post(lms, body(), {**KEY, "Authorization": "JWT a.b.c"})
    assert status == 401 and "detail" in answer
    assert answered["WWW-Authenticate"] == 'JWT realm="api"'


def test_e16_an_expired_token_is_refused(lms):
    token = jwt(lms)
    assert post(lms, body(), token)[0] == 200
    lms.expire_tokens()
    assert post(lms, body(), token)[0] == 401
    assert post(lms, body(), jwt(lms))[0] == 200


def test_e16_a_bearer_token_is_refused_in_its_own_words(lms):
    status, answer, _ = post(lms, body(), {"Authorization": "Bearer nonsense"})
    assert (status, answer["error_code"]) == (401, "token_nonexistent")


def test_e17_method_media_type_and_json(lms):
    assert lms.request("PUT", ENROLLMENT, body(), KEY)[0] == 405
    assert lms.request("POST", ENROLLMENT, "x", {**KEY, "Content-Type": "text/plain"})[0] == 415
    status, answer, _ = post(lms, b"{", {**KEY, "Content-Type": "application/json"})
    assert status == 400 and answer["detail"].startswith("JSON parse error")


def test_e18_the_throttle_counts_tokens_and_lets_the_api_key_pass(lms):
    lms.configure(throttle={"staff": 2, "window_ms": 60000})
    token = jwt(lms)
    assert [post(lms, body(), token)[0] for _ in range(3)] == [200, 200, 429]
    status, answer, answered = post(lms, body(), token)
    assert answer["detail"] == f"Request was throttled. Expected available in {answered['Retry-After']} seconds."
    assert 1 <= int(answered["Retry-After"]) <= 60
    assert post(lms, body(), KEY)[0] == 200
    assert post(lms, body(), {**KEY, **token})[0] == 200


def test_e19_a_crash_is_a_page(lms):
    status, text, _ = post(lms, b"[]", {**KEY, "Content-Type": "application/json"})
    assert status == 500 and text.startswith("<!doctype html>")


def test_an_older_release_answers_some_errors_otherwise(lms):
    lms.configure(old_release=True)
    assert post(lms, body(course="course-v1:edX+VetoX+2026"))[0] == 500
    answered = post(lms, body(enrollment_attributes=[{}]))
    assert answered[1]["message"].startswith("An error occurred while creating the new course enrollment")


# what a credential buys

def test_only_the_api_key_upgrades_into_an_expired_mode(lms):
    late = "course-v1:edX+ExpiredX+2026"
    token = jwt(lms)
    assert post(lms, body(mode="audit", course=late))[0] == 200
    assert post(lms, body(course=late), token)[0] == 400
    assert post(lms, body(course=late), KEY)[0] == 200


def test_only_staff_may_force_an_enrollment(lms):
    closed = "course-v1:edX+ClosedX+2026"
    document = body(course=closed, force_enrollment=True)
    assert post(lms, document, KEY)[0] == 400
    assert post(lms, document, {**KEY, **jwt(lms)})[0] == 200


# traps

def test_a_repeat_fails_when_the_course_closed_after_the_learner_got_in(lms):
    assert post(lms, body())[0] == 200
    lms.configure(courses=[{"id": DEMO, "modes": ["audit", "verified"], "full": True}])
    assert post(lms, body())[0] == 400
    assert json.loads(get(lms, "honor")[1])["is_active"]


def test_an_upgrade_does_not_look_at_closed_or_full(lms):
    closed = "course-v1:edX+ClosedX+2026"
    lms.configure(enrollments=[{"user": "honor", "course": closed, "mode": "audit"}])
    assert post(lms, body(course=closed))[0] == 200


def test_deactivating_what_never_was_ends_inactive(lms):
    status, answer, _ = post(lms, body(is_active=False))
    assert (status, answer["is_active"]) == (200, False)
    assert lms.stats()["repeated_revokes"] == 1


def test_a_get_of_the_collection_with_the_api_key_is_an_empty_list(lms):
    assert lms.request("GET", ENROLLMENT, headers=KEY)[::2] == (200, b"[]")


def test_strict_users_and_open_courses(lms):
    lms.configure(strict_users=True, open_courses=True)
    assert post(lms, body(user="somebody"))[0] == 406
    assert post(lms, body(course="course-v1:New+Course+1"))[0] == 200
    assert post(lms, body(course="New/Course/1"))[0] == 400


def test_repeats_for_the_same_order_are_counted(lms):
    for _ in range(3):
        post(lms, body())
    assert lms.stats()["repeated_enrolls"] == 2


def test_a_course_shows_its_modes_to_anybody(lms):
    path = "/api/enrollment/v1/course/course-v1:edX+ExpiredX+2026"
    for query, slugs in (("", ["audit"]), ("?include_expired=1", ["audit", "verified"])):
        status, _, text = lms.request("GET", path + query)
        assert status == 200
        assert [mode["slug"] for mode in json.loads(text)["course_modes"]] == slugs


# tokens

@pytest.mark.parametrize("path", ["/oauth2/access_token", "/oauth2/access_token/"])
def test_a_token_is_issued(lms, path):
    status, answer = token_answer(lms, path=path)
    assert status == 200
    assert answer["token_type"] == "JWT" and answer["expires_in"] == 3600
    assert answer["access_token"].count(".") == 2


def test_a_wrong_client_gets_no_token(lms):
    assert token_answer(lms, secret="wrong") == (401, {"error": "invalid_client"})


def test_the_token_endpoint_can_be_rate_limited_and_lie_about_time(lms):
    lms.configure(tokens={"rate_limited": True})
    assert token_answer(lms)[0] == 403
    lms.configure(tokens={"rate_limited": False, "ttl_s": 1, "expires_in": 7200})
    assert token_answer(lms)[1]["expires_in"] == 7200


# entitlements

def entitle(lms, headers, **more):
    document = {"user": "honor", "course_uuid": COURSE_UUID, "mode": "verified", "order_number": "EDX-1", **more}
    status, _, text = lms.request("POST", ENTITLEMENTS, {k: v for k, v in document.items() if v is not None}, headers)
    return status, json.loads(text)


def test_an_entitlement_lives_and_is_revoked(lms):
    token = jwt(lms)
    status, made = entitle(lms, token)
    assert status == 201
    assert {"user": "honor", "order_number": "EDX-1", "expired_at": None}.items() <= made.items()
    status, _, text = lms.request("GET", ENTITLEMENTS + "?user=honor", headers=token)
    assert [found["uuid"] for found in json.loads(text)["results"]] == [made["uuid"]]
    one = f"{ENTITLEMENTS}{made['uuid']}/"
    assert lms.request("DELETE", one, headers=token)[0] == 204
    assert lms.request("DELETE", one, headers=token)[0] == 204
    assert json.loads(lms.request("GET", one, headers=token)[2])["expired_at"]


def test_an_entitlement_is_unique_for_course_and_order(lms):
    token = jwt(lms)
    entitle(lms, token)
    assert entitle(lms, token) == (400, {"non_field_errors": [
        "The fields course_uuid, order_number must make a unique set."]})
    assert lms.stats()["repeated_entitlements"] == 1


def test_entitlement_errors_name_their_fields(lms):
    token = jwt(lms)
    assert entitle(lms, token, user="ghost") == (400, {"user": ["Object with username=ghost does not exist."]})
    assert entitle(lms, token, course_uuid="x", mode=None) == (
        400, {"course_uuid": ["Must be a valid UUID."], "mode": ["This field is required."]})


def test_entitlements_take_a_staff_token_only(lms):
    assert entitle(lms, KEY)[0] == 401
    lms.configure(tokens={"staff": False})
    assert entitle(lms, jwt(lms))[0] == 403


def test_an_unknown_entitlement_is_404(lms):
    token = jwt(lms)
    assert lms.request("DELETE", ENTITLEMENTS + "00000000-0000-4000-8000-000000000000/", headers=token)[0] == 404
    assert lms.request("DELETE", ENTITLEMENTS + "nonsense/", headers=token)[0] == 404


def test_an_entitlement_upgrades_the_only_audit_run_and_takes_it_back(lms):
    post(lms, body(mode="audit"))
    token = jwt(lms)
    status, made = entitle(lms, token)
    assert made["enrollment_course_run"] == DEMO
    assert lms.enrollment("honor")["mode"] == "verified"
    lms.request("DELETE", f"{ENTITLEMENTS}{made['uuid']}/", headers=token)
    assert not lms.enrollment("honor")["is_active"]


def test_an_entitlement_address_without_its_slash_is_redirected(lms):
    status, headers, _ = lms.request("POST", ENTITLEMENTS[:-1], {}, jwt(lms))
    assert (status, headers["Location"]) == (301, ENTITLEMENTS)
