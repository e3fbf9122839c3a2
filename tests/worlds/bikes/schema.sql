CREATE TABLE riders (rider_id BIGINT PRIMARY KEY, full_name VARCHAR(80), email VARCHAR(80), city VARCHAR(40), joined_on DATE, plan VARCHAR(20), is_active BOOLEAN);
CREATE TABLE stations (station_id INT PRIMARY KEY, station_name VARCHAR(60), city VARCHAR(40), docks INT);
CREATE TABLE bikes (bike_id INT PRIMARY KEY, kind VARCHAR(20), bought_on DATE, price NUMERIC(10,2), station_id INT REFERENCES stations);
CREATE TABLE trips (trip_id BIGINT PRIMARY KEY, rider_id BIGINT REFERENCES riders, bike_id INT REFERENCES bikes, from_station_id INT REFERENCES stations, started_at TIMESTAMP, minutes INT, fare NUMERIC(8,2));
CREATE TABLE payments (payment_id BIGINT PRIMARY KEY, trip_id BIGINT REFERENCES trips, paid_on DATE, amount NUMERIC(8,2), method VARCHAR(20), status VARCHAR(20));
COMMENT ON COLUMN payments.status IS 'possible values: settled, failed, refunded';
