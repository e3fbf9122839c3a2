CREATE TABLE venues (venue_id INT PRIMARY KEY, venue_name VARCHAR(50), city VARCHAR(40), capacity INT);
CREATE TABLE shows (show_id INT PRIMARY KEY, title VARCHAR(60), genre VARCHAR(30), duration_minutes INT, premiere_date DATE, rating NUMERIC, venue_id INT REFERENCES venues);
CREATE TABLE visitors (visitor_id INT PRIMARY KEY, name VARCHAR(60), age INT, level_of_membership INT, registered_at TIMESTAMP);
CREATE TABLE tickets (ticket_id INT PRIMARY KEY, show_id INT REFERENCES shows, visitor_id INT REFERENCES visitors, bought_at TIMESTAMP, price NUMERIC, channel VARCHAR(20), status VARCHAR(20));
CREATE TABLE reviews (review_id INT PRIMARY KEY, show_id INT REFERENCES shows, visitor_id INT REFERENCES visitors, stars INT, written_on DATE);
