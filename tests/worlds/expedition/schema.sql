CREATE TABLE stations (station_id INT PRIMARY KEY, station_name TEXT, region TEXT, winter_population INT, parent_station_id INT REFERENCES stations);
CREATE TABLE crew (crew_id INT PRIMARY KEY, full_name TEXT, nationality TEXT, birth_year INT, wage NUMERIC, joined_on DATE, left_on DATE, supervisor_id INT REFERENCES crew, station_id INT REFERENCES stations);
CREATE TABLE languages (crew_id INT REFERENCES crew, language TEXT, PRIMARY KEY (crew_id, language));
CREATE TABLE vessels (vessel_id INT PRIMARY KEY, vessel_name TEXT, tonnage INT, captain_id INT REFERENCES crew);
CREATE TABLE voyages (voyage_id INT PRIMARY KEY, vessel_id INT REFERENCES vessels, station_id INT REFERENCES stations, departed_on DATE, cargo_tons NUMERIC);
CREATE TABLE visitors (visitor_id INT PRIMARY KEY, full_name TEXT, nationality TEXT);
