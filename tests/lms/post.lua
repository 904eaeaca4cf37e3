-- For wrk: one enrolling POST after the other, a new learner and order each time.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Edx-Api-Key"] = "lms-api-key"

local sent = 0

function request()
    sent = sent + 1
    return wrk.format(nil, "/api/enrollment/v1/enrollment", nil, string.format(
        '{"user": "learner-%d", "mode": "verified", "is_active": true, ' ..
        '"course_details": {"course_id": "course-v1:edX+DemoX+2026"}, "enrollment_attributes": [' ..
        '{"namespace": "order", "name": "order_number", "value": "EDX-%d"}, ' ..
        '{"namespace": "order", "name": "date_placed", "value": "2026-01-02T03:04:05Z"}]}', sent, sent))
end
